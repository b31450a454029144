"""What servers refuse is said by name, with bucket, key and what to do."""

import http.server
import sys
import threading
from collections.abc import Iterator

import pytest
from object_servers import lead_to

import freqprep
from freqprep.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    MissingPackageError,
    ObjectStoreError,
    StoreError,
)
from freqprep.storage import object_client


class Refusing(http.server.ThreadingHTTPServer):
    """Server that gives the same answer to every request: a status, and a code of S3's."""

    answer = (403, "AccessDenied")
    to_lists: tuple[int, str] | None = None


class Handler(http.server.BaseHTTPRequestHandler):
    server: Refusing

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        listing = "list-type" in self.path and self.server.to_lists
        status, code = listing or self.server.answer
        body = f"<Error><Code>{code}</Code><Message>said so</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_GET  # noqa: N815 - the names that http.server calls


@pytest.fixture(scope="module")
def refusing() -> Iterator[Refusing]:
    server = Refusing(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def once(monkeypatch) -> Iterator[None]:
    """Each request is made once, by a client that is opened anew."""
    pytest.importorskip("obstore")
    monkeypatch.setitem(object_client._RETRIES, "max_retries", 0)
    object_client._opened.cache_clear()
    yield
    object_client._opened.cache_clear()


REFUSALS = {
    (403, "AccessDenied"): (AccessDeniedError, "refuses access.*AccessDenied.*may read"),
    (403, "RequestTimeTooSkewed"): (AccessDeniedError, "clock.*timedatectl"),
    (403, "InvalidAccessKeyId"): (AccessDeniedError, "credentials.*AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch"): (AccessDeniedError, "credentials.*AWS_SECRET_ACCESS_KEY"),
    (400, "ExpiredToken"): (AccessDeniedError, "have expired.*renew"),
    (404, "NoSuchBucket"): (
        BucketNotFoundError,
        "there is no bucket s3://photos;.*name, region",
    ),
    (301, "PermanentRedirect"): (ObjectStoreError, "another region.*AWS_REGION"),
    (503, "SlowDown"): (ObjectStoreError, r"SlowDown \(said so\).*run again"),
}


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_named(refusing, monkeypatch, answer):
    lead_to(monkeypatch, f"http://127.0.0.1:{refusing.server_address[1]}")
    refusing.answer = answer
    kind, text = REFUSALS[answer]
    with pytest.raises(kind, match=text) as caught:
        freqprep.open_store("s3://photos/a.zarr")
    assert "s3://photos" in str(caught.value) and caught.value.exit_code == 1
    assert "Debug" not in str(caught.value)


def test_nobody_there_is_named(monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(ObjectStoreError, match=r"no connection.*s3://photos/a\.zarr.*ENDPOINT_URL"):
        freqprep.open_store("s3://photos/a.zarr")
    with pytest.raises(StoreError, match=r"no connection.*127\.0\.0\.1:9/a\.zarr"):
        freqprep.open_store("http://127.0.0.1:9/a.zarr")


@pytest.mark.parametrize("scheme", ["s3", "az"])
def test_no_credentials_are_named(refusing, monkeypatch, tmp_path, scheme):
    lead_to(monkeypatch, f"http://127.0.0.1:{refusing.server_address[1]}")
    for name in (*object_client._KEY_VARIABLES, "AWS_PROFILE", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    variable = {"s3": "AWS_ACCESS_KEY_ID", "az": "AZURE_STORAGE_ACCOUNT_NAME"}[scheme]
    with pytest.raises(AccessDeniedError, match=f"no credentials for {scheme}://.*{variable}"):
        freqprep.open_store(f"{scheme}://photos/a.zarr")


@pytest.mark.parametrize(
    ("profile", "text"), [("typo", r"typo.*AWS_PROFILE"), ("", "no credentials for s3://")]
)
def test_a_profile_without_credentials_is_named(monkeypatch, tmp_path, profile, text):
    pytest.importorskip("boto3")
    lead_to(monkeypatch, "http://127.0.0.1:9")
    for name in object_client._KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "credentials").write_text("[someone]\naws_access_key_id = a\n")
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(AccessDeniedError, match=text):
        freqprep.open_store("s3://photos/a.zarr")


def test_without_obstore_the_extra_is_named(monkeypatch):
    lead_to(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'freqprep\[s3\]'"):
        freqprep.open_store("s3://photos/a.zarr")


def test_where_nothing_may_be_listed_a_wrong_url_is_still_no_store(refusing, monkeypatch):
    lead_to(monkeypatch, f"http://127.0.0.1:{refusing.server_address[1]}")
    refusing.answer, refusing.to_lists = (404, "NoSuchKey"), (403, "AccessDenied")
    with pytest.raises(StoreError, match=r"there is no store s3://photos/a\.zarr"):
        freqprep.open_store("s3://photos/a.zarr")
