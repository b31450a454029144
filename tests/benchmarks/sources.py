"""Conversion of images in a bucket at 20 ms a request, beside the same images in a folder.

The bucket is the tests' server, in a process of its own and on a core of its own.
"""

from __future__ import annotations

import time
from pathlib import Path
from unittest import mock

from freqprep.convert.planning import discover
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.images.decode import MAX_FILE_BYTES
from freqprep.sources import files
from freqprep.storage.paths import AnyPath, as_path
from tests.benchmarks.remote import cores_apart, lead_to
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show
from tests.slow_server import SlowServer

_DELAY = 0.02
_COPIES, _ROUNDS = 8, 2


def run(data: Path, folder: Path) -> dict[str, object]:
    source = replicate(data / "imagenet", folder / "source", _COPIES)
    images = sum(1 for _ in source.rglob("*.JPEG"))
    with SlowServer() as server:
        lead_to(server)
        bucket = as_path(server.load(source, "source"))
        server.behave(delay=_DELAY)
        ways: dict[str, tuple[AnyPath, int]] = {
            "folder": (source, files.IN_FLIGHT),
            "bucket": (bucket, files.IN_FLIGHT),
            "bucket, one request at a time": (bucket, 1),
        }
        with cores_apart(server.pid):
            found = {name: _best(folder, server, images, *way) for name, way in ways.items()}
    base = found["folder"]
    show(
        (
            "1 job, 20 ms a request",
            "converted/s",
            "of a folder",
            "CPU",
            "read alone/s",
            "to list, s",
            "requests",
        ),
        [
            (
                name,
                one["rate"],
                one["rate"] / base["rate"],
                one["cpu"] / base["cpu"],
                one["reading"],
                one["listing"],
                one["requests"],
            )
            for name, one in found.items()
        ],
    )
    return {"images": images, **found}


def _best(
    folder: Path, server: SlowServer, images: int, source: AnyPath, in_flight: int
) -> dict[str, float]:
    """Convert some times; return the highest rate, without listing, and the least CPU time."""
    rates, readings, cpus, listings, requests = [], [], [], [], 0
    with mock.patch.object(files, "IN_FLIGHT", in_flight):
        for _ in range(_ROUNDS):
            request = Request("imagenet", source, folder / "s.zarr", jobs=1, overwrite=True)
            began = time.perf_counter()
            discover(request)
            listings.append(time.perf_counter() - began)
            server.counts()
            began, cpu = time.perf_counter(), time.process_time()
            convert(request)
            seconds = time.perf_counter() - began - min(listings)
            rates.append(images / seconds)
            cpus.append(time.process_time() - cpu)
            requests = server.counts().total
            readings.append(images / _reading(request))
    return {
        "rate": max(rates),
        "reading": max(readings),
        "cpu": min(cpus) / images,
        "listing": min(listings),
        "requests": requests,
    }


def _reading(request: Request) -> float:
    """Seconds to read all images, without decoding them."""
    table = discover(request).listings["train"].files
    began = time.perf_counter()
    for _ in files.read_images(request.source, table, MAX_FILE_BYTES):
        pass
    return time.perf_counter() - began
