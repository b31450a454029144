"""Servers on this machine that stores are in: S3 in memory, by moto, slow, and plain HTTP."""

from __future__ import annotations

import abc
import http.server
import itertools
import logging
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import s3_bucket
from s3_bucket import Stored
from s3_service import Service, in_a_thread
from slow_server import SlowServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
"""What the environment says of any bucket, except the endpoint."""

_numbers = itertools.count()


def lead_to(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let the environment lead to a server."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)


@dataclass(frozen=True)
class Bucket(abc.ABC):
    """A fresh bucket of a server with the semantics of S3.

    Attributes
    ----------
    name : str
    endpoint : str
        URL of the server.
    requests : list of str
        ``GET /bucket/key?query`` of each request to the server since the fixture began; clear it
        to count.
    """

    name: str
    endpoint: str
    requests: list[str]

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @abc.abstractmethod
    def put(self, key: str, data: bytes) -> None: ...

    @abc.abstractmethod
    def get(self, key: str) -> bytes: ...

    @abc.abstractmethod
    def delete(self, key: str) -> None: ...

    @abc.abstractmethod
    def keys(self, prefix: str = "") -> list[str]: ...

    def contents(self, prefix: str) -> dict[str, bytes]:
        """Bytes of every object below a prefix, by its key from there on."""
        return {key.removeprefix(f"{prefix}/"): self.get(key) for key in self.keys(f"{prefix}/")}

    def upload(self, folder: Path, prefix: str) -> str:
        """Put all files of a folder below a prefix; return the URL."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"{self.url}/{prefix}"


@dataclass(frozen=True)
class MemoryBucket(Bucket):
    """Bucket of the tests' own server, whose objects are in the memory of this process."""

    objects: dict[str, Stored]

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = Stored.of(data)

    def get(self, key: str) -> bytes:
        return self.objects[key].data

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in list(self.objects) if key.startswith(prefix))


@dataclass(frozen=True)
class MotoBucket(Bucket):
    """Bucket of moto, by the client of boto3: both are other programs than the one tested."""

    client: Any

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.name, Prefix=prefix)
        return sorted(entry["Key"] for page in found for entry in page.get("Contents", ()))


class _Requests(logging.Handler):
    """Records the requests that werkzeug's server logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if found := re.search(r"([A-Z]+ /\S*) HTTP", record.getMessage()):
            self.lines.append(found[1])


@pytest.fixture(scope="session")
def moto_server() -> Iterator[tuple[str, list[str]]]:
    """URL of a server with the semantics of S3, and the requests to it."""
    server_of_moto = pytest.importorskip("moto.server")
    handler, log = _Requests(), logging.getLogger("werkzeug")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    server = server_of_moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}", handler.lines
    server.stop()
    log.removeHandler(handler)


@pytest.fixture(scope="session")
def memory_server() -> Iterator[tuple[str, Service]]:
    """URL of a server with the semantics of S3 that takes a tenth of moto's time, and itself."""
    with in_a_thread() as running:
        yield running


@pytest.fixture
def bucket(memory_server, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBucket]:
    """A fresh bucket, which the environment leads to."""
    endpoint, service = memory_server
    lead_to(monkeypatch, endpoint)
    name = f"bucket-{next(_numbers)}"
    made = service.buckets[name] = s3_bucket.Bucket()
    service.lines.clear()
    yield MemoryBucket(name, endpoint, service.lines, made.objects)
    del service.buckets[name]


@pytest.fixture
def moto_bucket(moto_server, monkeypatch: pytest.MonkeyPatch) -> MotoBucket:
    """A fresh bucket of moto, which the environment leads to."""
    boto3 = pytest.importorskip("boto3")
    endpoint, requests = moto_server
    lead_to(monkeypatch, endpoint)
    client = boto3.client("s3", endpoint_url=endpoint, region_name=CREDENTIALS["AWS_REGION"])
    name = f"bucket-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    return MotoBucket(name, endpoint, requests, client)


@dataclass
class WebServer:
    """Files of a folder by HTTP, with ranges, without any listing.

    Attributes
    ----------
    folder : Path
    url : str
    ranges : bool
        Whether ranges are served; otherwise the whole file is sent, as by simple servers.
    requests : Counter of str
        Number of requests of each path.
    """

    folder: Path
    url: str = ""
    ranges: bool = True
    requests: Counter[str] = field(default_factory=Counter)


def _handler(server: WebServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            server.requests[path] += 1
            file = server.folder / path.lstrip("/")
            if not file.is_file():
                self._send(404, b"not found", with_body)
                return
            data, asked = file.read_bytes(), self.headers.get("Range")
            if asked is None or not server.ranges:
                self._send(200, data, with_body)
                return
            first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", asked).groups()
            begin = int(first) if first else max(len(data) - int(last), 0)
            end = min(int(last) + 1, len(data)) if first and last else len(data)
            if begin >= len(data):
                self._send(416, b"", with_body)
                return
            where = f"bytes {begin}-{end - 1}/{len(data)}"
            self._send(206, data[begin:end], with_body, {"Content-Range": where})

        def _send(
            self, code: int, body: bytes, with_body: bool, more: dict[str, str] | None = None
        ) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **(more or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    return Handler


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[WebServer]:
    """Server of the files below ``tmp_path / "web"``, without a listing."""
    server = WebServer(tmp_path / "web")
    server.folder.mkdir()
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield server
    listening.shutdown()
    thread.join()
    listening.server_close()


@pytest.fixture(scope="session")
def one_slow_server() -> Iterator[SlowServer]:
    """The process of `slow_server`."""
    with SlowServer() as server:
        yield server


@pytest.fixture
def slow_server(
    one_slow_server: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SlowServer]:
    """S3 server that does as a test tells it, until the test ends; the environment leads to it.

    Its bucket is ``s3://slow``, and keeps what other tests have written.
    """
    lead_to(monkeypatch, one_slow_server.url)
    one_slow_server.behave()
    one_slow_server.counts()
    yield one_slow_server
    one_slow_server.behave()
