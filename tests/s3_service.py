"""What serves the buckets of `s3_bucket`: connections, delays, faults, counts; two ways to run it.

The process of a `slow_server.SlowServer` is this module; `Service` runs in a thread as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from s3_bucket import Answer, Bucket, Request, Stored, refusal
from slow_server import CONTROL, Counts, Fault

_REASONS = {200: "OK", 204: "No Content", 206: "Partial Content"}
_CODES = {"403": "AccessDenied", "503": "SlowDown"}
_HALF_SENT = {"cut", "stall", "reset"}
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: the end is no end of a stream, but an error
_NOT_LISTED_YET = 3


class Service:
    """Answer connections.

    Attributes
    ----------
    bucket : Bucket
        That of a `SlowServer`, ``slow``.
    buckets : dict of str to Bucket
        All buckets.
    lines : list of str
        ``GET /bucket/key?query`` of each request.
    """

    def __init__(self) -> None:
        self.bucket = Bucket()
        self.buckets = {"slow": self.bucket}
        self.lines: list[str] = []
        self.delay, self.running = 0.0, 0
        self.faults: list[tuple[Fault, list[int]]] = []  # each with how many matched, and were hit
        self.counts = Counts({}, 0, 0, 0)

    def control(self, what: str, given: Mapping[str, Any]) -> Any:
        if what == "load":
            root = Path(given["folder"])
            for path in root.rglob("*"):
                if path.is_file():
                    key = f"{given['prefix']}/{path.relative_to(root).as_posix()}"
                    self.bucket.objects[key] = Stored.of(path.read_bytes())
        elif what == "behave":
            self.delay = given["delay"]
            self.bucket.conditional, self.bucket.page = given["conditional"], given["page"]
            self.faults = [(Fault(**fault), [0, 0]) for fault in given["faults"]]
        elif what == "counts":
            taken, self.counts = self.counts, Counts({}, 0, 0, 0)
            return asdict(taken)
        elif what == "objects":
            return {key: one.etag.strip('"') for key, one in self.bucket.objects.items()}
        return {}

    def fault_of(self, request: Request) -> str | None:
        for fault, count in self.faults:
            if request.method in fault.methods and re.search(fault.key, request.key):
                count[0] += 1
                if count[0] % fault.every == 0 and (fault.times is None or count[1] < fault.times):
                    count[1] += 1
                    return fault.what
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                if not await self._respond(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:  # the server ends, and asyncio logs tasks that end so
            pass
        finally:
            writer.close()

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; return whether the connection goes on."""
        if request.path.startswith(CONTROL):
            found = self.control(request.path.removeprefix(CONTROL), json.loads(request.body))
            text = json.dumps(found).encode()
            await _write(writer, Answer(200, text), text)
            return True
        self.running += 1
        self._count(request)
        try:
            fault = self.fault_of(request)
            await asyncio.sleep(self.delay)
            answer = self._answer(request, fault)
            body = memoryview(b"" if request.method == "HEAD" else answer.body)
            body = body[: len(body) // 2] if fault in _HALF_SENT else body
            self.counts.sent += len(body)
            if body or fault not in _HALF_SENT:  # there is no half of an answer without a body
                await _write(writer, answer, body)
        finally:
            self.running -= 1
        if fault == "stall":
            await asyncio.sleep(3600)
        if fault == "reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        return fault not in _HALF_SENT

    def _answer(self, request: Request, fault: str | None) -> Answer:
        if fault is not None and fault.isdecimal():
            return refusal(int(fault), _CODES.get(fault, fault))
        if fault == "whole":
            kept = {name: text for name, text in request.headers.items() if name != "range"}
            request = replace(request, headers=kept)
        if fault == "stale" and request.kind == "LIST":
            return self._stale(request)
        bucket = self.buckets.get(request.bucket)
        answer = refusal(404, "NoSuchBucket") if bucket is None else bucket.answer(request)
        return replace(answer, body=_LIES[fault](answer.body)) if fault in _LIES else answer

    def _stale(self, request: Request) -> Answer:
        """Answer as before the last few objects were put."""
        now = self.bucket.objects
        self.bucket.objects = dict(list(now.items())[:-_NOT_LISTED_YET])
        try:
            return self.bucket.answer(request)
        finally:
            self.bucket.objects = now

    def _count(self, request: Request) -> None:
        self.lines.append(f"{request.method} {request.target}")
        counts = self.counts
        counts.requests[request.kind] = counts.requests.get(request.kind, 0) + 1
        counts.received += len(request.body)
        counts.at_once = max(counts.at_once, self.running)


def _flipped(body: bytes) -> bytes:
    """Flip one bit in the middle, always the same one of the same body."""
    if not body:
        return body
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1 << len(body) % 8]) + body[at + 1 :]


_LIES = {"short": lambda body: body[: len(body) // 2], "flip": _flipped}
"""Bodies that are not the object's, by faults of which the length in the head says nothing."""


async def _write(writer: asyncio.StreamWriter, answer: Answer, body: bytes | memoryview) -> None:
    """Write an answer's head, and a body that may be less than it says."""
    headers = dict(answer.headers)
    if answer.status != 204:
        headers["Content-Length"] = str(len(answer.body))
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Refused')}"]
    lines += [f"{name}: {text}" for name, text in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    # asyncio of Python 3.12 and later would try to send an empty buffer again and again.
    writer.writelines([head, body] if body else [head])
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {
        name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)
    }
    path, _, query = target.partition("?")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    words = {name: texts[0] for name, texts in parse_qs(query, keep_blank_values=True).items()}
    return Request(method, target, unquote(path), words, headers, body)


async def _listen(service: Service) -> asyncio.Server:
    return await asyncio.start_server(service.serve, "127.0.0.1", 0, limit=2**20)


async def _close(server: asyncio.Server) -> None:
    server.close()
    connections = asyncio.all_tasks() - {asyncio.current_task()}  # that clients keep
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


@contextlib.contextmanager
def in_a_thread() -> Iterator[tuple[str, Service]]:
    """Serve in a thread of this process during a block; give the URL too."""
    loop, service = asyncio.new_event_loop(), Service()
    server = loop.run_until_complete(_listen(service))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", service
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(_close(server))
    loop.close()


async def _main() -> None:
    server = await _listen(Service())
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)  # whatever is stalled


if __name__ == "__main__":
    asyncio.run(_main())
