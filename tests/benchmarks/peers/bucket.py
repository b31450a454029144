"""Other loaders beside ours, from a bucket at 20 ms a request: the first epoch, with nothing kept.

The bucket is the tests' server, in a process and on a core of its own; the peer has the others.
What a peer has written is loaded into a new server, a new process of the peer runs a local epoch,
after which its code is loaded, then opens the bucket and runs an epoch. Peers that do not read S3
or HTTP by themselves are named.
"""

from __future__ import annotations

import os
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from tests.benchmarks.peers.process import Peer, PeerError
from tests.benchmarks.peers.running import PEERS, found_peers, write_all
from tests.benchmarks.remote import cores_apart, lead_to
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show
from tests.slow_server import SlowServer

_COPIES = 14
"""Copies of 200 files: 2,800 images."""
_DELAY = 0.02
_ROUNDS = 3


def run(data: Path, folder: Path) -> dict[str, object]:
    source = replicate(data / "imagenet/train", folder / "source", _COPIES)
    environments = Path(os.environ[PEERS]) if PEERS in os.environ else None
    left_out: dict[str, str] = {}
    ways = []
    for peer in found_peers(environments, source, folder / "stored", left_out):
        if peer.reads_buckets:
            with peer:
                dict(write_all([peer], left_out))
            ways += [Way(peer, name) for name in peer.ways]
        else:
            left_out[peer.name] = "its adapter has no way from a bucket"
    for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
        for way in [way for way in ways if way.title not in left_out]:
            try:
                way.rounds.append(first_epoch(way, folder))
            except PeerError as error:
                left_out[way.title] = str(error)
    found = {way.title: way.medians() for way in ways if way.title not in left_out}
    rows = sorted(found.items(), key=lambda item: -item[1]["images/s"])
    columns = rows[0][1] if rows else ()
    show(("first epoch, 20 ms a request", *columns), [(name, *one.values()) for name, one in rows])
    for title, why in left_out.items():
        print(f"left out: {title}: {why}")
    return {"epochs": found, "left out": left_out}


@dataclass
class Way:
    """A way of a peer: the figures of its rounds."""

    peer: Peer
    name: str
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.peer.name}: {self.name}"

    def medians(self) -> dict[str, float]:
        return {
            name: statistics.median(one[name] for one in self.rounds) for name in self.rounds[0]
        }


def first_epoch(way: Way, folder: Path) -> dict[str, float]:
    """Run the first epoch of a way from a new bucket; the stored forms are in the folder."""
    stored = way.peer.ways[way.name]
    with (
        mock.patch.dict(os.environ, AWS_DEFAULT_REGION="us-east-1"),  # boto3's name of the other
        SlowServer() as server,
        TemporaryDirectory(dir=folder) as cache,
        way.peer as peer,
    ):
        lead_to(server)
        server.load(folder / "stored" / stored, stored)
        server.behave(delay=_DELAY)
        with cores_apart(server.pid):
            peer.epoch(way.name, 0)
            server.counts()
            found = peer.bucket_epoch(way.name, server.url, Path(cache))
        counts = server.counts()
    print(f"{way.title}: {found['seconds']:.1f} s, {counts}", file=sys.stderr, flush=True)
    images = found["images"]
    return {
        "images/s": images / found["seconds"],
        "CPU ms an image": 1000 * found["cpu_seconds"] / images,
        "requests for 1,000 images": 1000 * counts.total / images,
        "KB an image": counts.sent / images / 1e3,
    }
