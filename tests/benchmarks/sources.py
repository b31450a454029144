"""Conversion of images in a bucket at 20 ms a request, beside the same images on the disk.

They are in class folders, and in tar shards. The bucket is the tests' server, in a process of its
own and on a core of its own.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
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
_SAMPLES = 200
"""Images of a tar."""

_LISTED_TARS, _LISTED_SAMPLES = 25, 2000
_LISTING = """
import re, sys, time
from pathlib import Path
from freqprep.sources import SourceOptions, discover
def peak():  # of getrusage, a process inherits that of its parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
for source in sys.argv[1:]:  # the first is small: imports
    before, began = peak(), time.process_time()
    rows = len(discover("webdataset", Path(source), None, SourceOptions()).listings["train"])
print((time.process_time() - began) / rows * 1e6, (peak() - before) / rows)
"""


def run(data: Path, folder: Path) -> dict[str, object]:
    source = replicate(data / "imagenet", folder / "source", _COPIES)
    images = sum(1 for _ in source.rglob("*.JPEG"))
    tars = _tars(source, folder / "tars")
    with SlowServer() as server:
        lead_to(server)
        bucket, remote_tars = (as_path(server.load(path, path.name)) for path in (source, tars))
        server.behave(delay=_DELAY)
        ways: dict[str, tuple[str, AnyPath, int]] = {
            "folder": ("imagenet", source, files.IN_FLIGHT),
            "folder in a bucket": ("imagenet", bucket, files.IN_FLIGHT),
            "the same, one request at a time": ("imagenet", bucket, 1),
            "tars": ("webdataset", tars, files.IN_FLIGHT),
            "tars in a bucket": ("webdataset", remote_tars, files.IN_FLIGHT),
        }
        with cores_apart(server.pid):
            found = {name: _best(folder, server, images, *way) for name, way in ways.items()}
    listing = _listing(folder)
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
    show(("list of tars", "CPU us a sample", "bytes a sample, peak"), [("on the disk", *listing)])
    return {"images": images, "listing": listing, **found}


def _listing(folder: Path) -> tuple[float, float]:
    """Return CPU time and memory of listing many small samples, in a process of its own."""
    sizes = {"one": (1, 1), "many": (_LISTED_TARS, _LISTED_SAMPLES)}
    for name, (tars, samples) in sizes.items():
        (folder / name).mkdir()
        for number in range(tars):
            rows = [(f"n01440764_{number:04}{row:06}", b"7", bytes(500)) for row in range(samples)]
            _write_tar(folder / name / f"train-{number:06}.tar", rows)
    command = [sys.executable, "-c", _LISTING, str(folder / "one"), str(folder / "many")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    microseconds, memory = map(float, done.stdout.split())
    return microseconds, memory


def _tars(source: Path, folder: Path) -> Path:
    """Pack the images of class folders into tars, shuffled as their names are by copy."""
    folder.mkdir()
    paths = sorted(source.rglob("*.JPEG"), key=lambda path: path.name)
    classes = sorted({path.parent.name for path in paths})
    (folder / "classnames.txt").write_text("\n".join(classes))
    for first in range(0, len(paths), _SAMPLES):
        rows = [
            (f"{p.parent.name}/{p.stem}", b"%d" % classes.index(p.parent.name), p.read_bytes())
            for p in paths[first : first + _SAMPLES]
        ]
        _write_tar(folder / f"train-{first // _SAMPLES:06}.tar", rows)
    return folder


def _write_tar(path: Path, rows: Sequence[tuple[str, bytes, bytes]]) -> None:
    """Write a tar of samples: key, label and image of each."""
    with tarfile.open(path, "w") as tar:
        for key, label, image in rows:
            for suffix, content in (("cls", label), ("jpg", image)):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _best(
    folder: Path, server: SlowServer, images: int, kind: str, source: AnyPath, in_flight: int
) -> dict[str, float]:
    """Convert some times; return the highest rate, without listing, and the least CPU time."""
    rates, readings, cpus, listings, requests = [], [], [], [], 0
    with mock.patch.object(files, "IN_FLIGHT", in_flight):
        for _ in range(_ROUNDS):
            request = Request(kind, source, folder / "s.zarr", jobs=1, overwrite=True)
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
