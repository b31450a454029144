"""Answers of servers, here one on this machine that gives the same answer to everything."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

from object_servers import CREDENTIALS
from situation import HOST, Situation

from freqprep.storage import object_client


class Answer(http.server.BaseHTTPRequestHandler):
    """Gives one status with one of S3's codes."""

    answer = (200, "")

    def do_GET(self) -> None:
        status, code = self.answer
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_GET  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Says nothing of clients that go away."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class Files(http.server.SimpleHTTPRequestHandler):
    """Gives whole files, and no ranges of them."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(folder: Path, handler: type, left_out: tuple[str, ...] = ()) -> Iterator[str]:
    """Let the environment lead to a server, without some of its variables."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    given = {**CREDENTIALS, "AWS_ENDPOINT_URL": address}
    own = [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]
    kept = {name: value for name, value in os.environ.items() if name not in own}
    given = {name: value for name, value in given.items() if name not in left_out}
    none = {
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    object_client._opened.cache_clear()
    try:
        with (
            mock.patch.dict(os.environ, {**kept, **given, **none}, clear=True),
            mock.patch.dict(object_client._RETRIES, max_retries=0),
        ):
            yield address
    finally:
        object_client._opened.cache_clear()
        server.shutdown()
        thread.join()
        server.server_close()


def answer(status: int, code: str, *left_out: str) -> Callable[[Path], AbstractContextManager[str]]:
    """Return the context of a server with this answer."""
    handler = type("Answering", (Answer,), {"answer": (status, code)})
    return functools.partial(serving, handler=handler, left_out=left_out)


def files(folder: Path) -> AbstractContextManager[str]:
    """Serve the files of a folder, as ``python -m http.server`` does."""
    return serving(folder, functools.partial(Files, directory=folder))


@contextlib.contextmanager
def nobody(folder: Path) -> Iterator[str]:
    """Let the environment lead to a port that nobody listens to."""
    with answer(200, "")(folder), mock.patch.dict(os.environ, AWS_ENDPOINT_URL=UNUSED):
        yield ""


UNUSED = "http://127.0.0.1:9"
INFO = "freqprep info s3://my-bucket/photos.zarr"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CREDENTIALS_SECTION = "[credentials](how-to/buckets.md#read-a-store-in-a-bucket)"

IN_BUCKETS = (
    Situation(
        "There are no credentials",
        INFO,
        "They come from the environment of each process, never from the command.",
        f"set the variables of {CREDENTIALS_SECTION}, also for `torchrun` and the workers of a "
        f"cluster.",
        during=answer(403, "AccessDenied", *KEYS),
    ),
    Situation(
        "The server refuses access",
        INFO,
        "The credentials are known, but may not do this.",
        "the rights to get and list objects; to write, also to put and delete them.",
        during=answer(403, "AccessDenied"),
    ),
    Situation(
        "The server does not accept the credentials",
        INFO,
        "A key that does not exist any more, or a secret that is not its own.",
        f"look at the {CREDENTIALS_SECTION}: another profile or an old variable may hide the "
        f"right ones.",
        during=answer(403, "SignatureDoesNotMatch"),
    ),
    Situation(
        "Credentials have expired",
        INFO,
        "Temporary ones end after hours.",
        "renew them, and go on with `--resume`.",
        during=answer(400, "ExpiredToken"),
    ),
    Situation(
        "The bucket is in another region",
        INFO,
        "S3 answers a request to the wrong region with a redirection.",
        "`AWS_REGION`.",
        during=answer(301, "PermanentRedirect"),
    ),
    Situation(
        "There is no such bucket",
        INFO,
        "Its name, the region or the endpoint is another one.",
        "check the three; buckets are not made by freqprep.",
        during=answer(404, "NoSuchBucket"),
    ),
    Situation(
        "The clock is wrong",
        INFO,
        "Requests are signed with the time, and a server refuses those of another one.",
        "set the clock.",
        during=answer(403, "RequestTimeTooSkewed"),
    ),
    Situation(
        "The server is busy",
        INFO,
        "It asked for slower requests for longer than 90 seconds.",
        "run again; a run that can resume with `--resume`.",
        during=answer(503, "SlowDown"),
    ),
    Situation(
        "Nobody answers",
        "freqprep info s3://my-bucket/photos.zarr",
        "Network, name or port.",
        "look whether the address opens with another program, such as `curl -I`.",
        during=nobody,
    ),
    Situation(
        "A web server does not list a store",
        f"freqprep info {HOST}/photos.zarr",
        "There is no listing by HTTP.",
        "name the split. ([On a web server](how-to/buckets.md#read-a-store-in-a-bucket).)",
        during=files,
        given="photos.zarr",
    ),
    Situation(
        "A web server gives whole files only",
        f"freqprep show {HOST}/photos.zarr 0 --split train -o first.png",
        "Images are read as parts of shards. nginx and Apache give them, `python -m http.server` "
        "does not.",
        "another server, or a copy on this machine.",
        during=files,
        given="photos.zarr",
    ),
    Situation(
        "A command that takes no URL",
        "freqprep evaluate s3://my-bucket/runs/first photos.zarr",
        "Stores and sources may be in a bucket; runs, pictures and reports are on this machine.",
        "copy it here.",
    ),
)
