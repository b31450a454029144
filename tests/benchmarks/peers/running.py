"""Other loaders beside ours: the same files, random crops of 224 pixels, on all cores.

Each peer runs in an interpreter of its own: ``PEERS`` names a folder with an environment for each
adapter (``python -m tests.benchmarks.peers.environments FOLDER`` makes them). One that is missing,
or fails, is left out, and the output says so. Every round runs an epoch of each way; the first is
untimed: workers start, pages are read, code is compiled. A cold round, at the end, has the files
dropped from the page cache before each way.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.peers.process import Peer, PeerError
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

PEERS = "PEERS"
"""Environment variable that names the folder of the environments."""

_COPIES = 4
"""Copies of 200 files: 800 images."""
_ROUNDS = 3


@dataclass
class _Way:
    """A way of a peer: its figures, an image each."""

    peer: Peer
    name: str
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    cold: dict[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.peer.name}: {self.name}"


def run(data: Path, folder: Path) -> dict[str, object]:
    source = replicate(data / "imagenet/train", folder / "source", _COPIES)
    environments = Path(os.environ[PEERS]) if PEERS in os.environ else None
    with ExitStack() as stack:
        peers, left_out = [], {}
        for peer in found_peers(environments, source, folder / "stored", left_out):
            peers.append(stack.enter_context(peer))
        written = dict(write_all(peers, left_out))
        ways = [_Way(peer, name) for peer in peers for name in peer.ways]
        for number in range(_ROUNDS + 2):  # interleaved, so that other load affects all alike
            for way in [way for way in ways if way.title not in left_out]:
                _run_epoch(way, number, left_out)
        found = {way.title: _figures(way) for way in ways if way.title not in left_out}
    _show(found, written)
    for title, why in left_out.items():
        print(f"left out: {title}: {why}")
    return {"epochs": found, "written": written, "left out": left_out}


def found_peers(
    environments: Path | None, source: Path, stored: Path, left_out: dict[str, str]
) -> Iterator[Peer]:
    """Yield a peer for each adapter whose environment there is."""
    for adapter in sorted((Path(__file__).parent / "adapters").glob("*.py")):
        try:
            yield Peer(adapter.stem, environments, source, stored)
        except PeerError as error:
            left_out[adapter.stem] = str(error)


def write_all(
    peers: list[Peer], left_out: dict[str, str]
) -> Iterator[tuple[str, dict[str, float]]]:
    for peer in peers:
        for stored in peer.forms():
            try:
                yield stored, peer.write(stored)
            except PeerError as error:
                left_out |= {f"{peer.name}: {way}": str(error) for way in peer.ways_of(stored)}


def _run_epoch(way: _Way, number: int, left_out: dict[str, str]) -> None:
    """Run an epoch of a way: the first unmeasured, the last cold; one that fails is left out."""
    cold = number == _ROUNDS + 1
    if cold:
        way.peer.forget_pages(way.name)
    try:
        found = way.peer.epoch(way.name, number)
    except PeerError as error:
        left_out[way.title] = f"epoch {number}: {error}"
        return
    print(f"epoch {number} of {way.title}: {found['seconds']:.1f} s", file=sys.stderr, flush=True)
    if cold:
        way.cold = found
    elif number:
        way.cpu.append(1000 * found["cpu_seconds"] / found["images"])
        way.rate.append(found["images"] / found["seconds"])


def _figures(way: _Way) -> dict[str, float]:
    cold = way.cold
    return {
        "cpu ms": statistics.median(way.cpu),
        "cpu least": min(way.cpu),
        "cpu most": max(way.cpu),
        "images/s": statistics.median(way.rate),
        "cold images/s": cold["images"] / cold["seconds"],
        "cold KB from disk": cold["bytes_from_disk"] / cold["images"] / 1e3,
        "KB stored": way.peer.stored_bytes(way.name) / way.peer.images / 1e3,
        "peak MB": way.peer.peak_bytes / 1e6,
    }


def _show(found: dict[str, dict[str, float]], written: dict[str, dict[str, float]]) -> None:
    columns = list(next(iter(found.values())))
    base = found["torchvision: files, Pillow"]["cpu ms"] if len(found) > 1 else float("nan")
    rows = sorted(found.items(), key=lambda item: item[1]["cpu ms"])
    show(
        ("an epoch, warm unless said", *columns, "of torchvision's CPU"),
        [(title, *one.values(), one["cpu ms"] / base) for title, one in rows],
    )
    show(
        ("writing", "CPU ms an image", "images/s", "KB an image"),
        [
            (
                stored,
                1000 * one["cpu_seconds"] / one["images"],
                one["images"] / one["seconds"],
                one["bytes"] / one["images"] / 1e3,
            )
            for stored, one in written.items()
        ],
    )
