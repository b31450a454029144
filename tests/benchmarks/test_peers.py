"""The benchmark of other loaders: its adapters can be asked, and what they answer."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.peers.bucket import Way, first_epoch
from tests.benchmarks.peers.environments import ADAPTERS
from tests.benchmarks.peers.process import Peer, PeerError, constant


@pytest.fixture
def source(tmp_path) -> Path:
    draw = np.random.default_rng(0)
    for number in range(70):
        path = tmp_path / f"source/class-{number % 2}/{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    return tmp_path / "source"


@pytest.fixture
def environments(tmp_path) -> Path:
    """Environments in which this interpreter stands for that of a peer."""
    for name in ("pillow", "dali"):
        python = tmp_path / "environments" / name / "bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
    return tmp_path / "environments"


@pytest.mark.parametrize("adapter", sorted(ADAPTERS.glob("*.py")), ids=lambda path: path.stem)
def test_an_adapter_says_what_it_needs_and_how_it_reads(adapter):
    text = adapter.read_text()
    requirements, ways = constant(text, "REQUIREMENTS"), constant(text, "WAYS")
    assert all(isinstance(one, str) for one in requirements)
    assert ways and all(isinstance(one, str) for pair in ways.items() for one in pair)
    assert "\ndef epochs(" in text
    # What is read is the source, written by itself, or ours.
    assert "\ndef write(" in text or set(ways.values()) <= {"", "freqprep"}


def test_an_epoch_delivers_each_image_and_is_measured(source, environments, tmp_path):
    with Peer("pillow", environments, source, tmp_path / "stored") as peer:
        (way,) = peer.ways
        assert not peer.forms()
        for number in range(2):
            found = peer.epoch(way, number)
            assert found["images"] == peer.images == 70
            assert found["cpu_seconds"] > 0 and found["seconds"] > 0
        files = sum(path.stat().st_size for path in source.rglob("*.JPEG"))
        assert peer.stored_bytes(way) == files
        peer.forget_pages(way)
        assert peer.epoch(way, 2)["images"] == 70


def test_a_first_epoch_from_a_bucket_fetches_what_it_delivers(source, tmp_path):
    with Peer("freqprep", None, source, tmp_path / "stored") as peer:
        assert peer.reads_buckets
        (form,) = peer.forms()
        stored = peer.write(form)["bytes"]
    way = Way(peer, "codes, 24 channels")
    for _ in range(2):  # nothing is kept from one to the next
        found = first_epoch(way, tmp_path)
        assert found["images/s"] > 0 and found["CPU ms an image"] > 0
        assert 64 * found["requests for 1,000 images"] >= 1000 * 3  # documents, an index, a shard
        assert 0 < 1000 * 64 * found["KB an image"] < stored


def test_a_peer_that_fails_or_is_not_there_is_named(source, environments, tmp_path):
    stored = tmp_path / "stored"
    with pytest.raises(PeerError, match="environments"):
        Peer("spdl", environments, source, stored)
    with (
        Peer("dali", environments, source, stored) as peer,
        pytest.raises(PeerError, match=r"see .*dali\.log"),
    ):
        peer.epoch("files", 0)
    assert "ModuleNotFoundError" in (stored / "dali.log").read_text()
