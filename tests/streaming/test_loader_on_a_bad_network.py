"""Loaders of stores in a bucket whose server is slow, overloaded, broken or refuses."""

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from batches import CHANNELS, assert_same, taken
from slow_server import Fault

from freqprep import Loader
from freqprep.errors import AccessDeniedError, ObjectStoreError, ShardMissingError
from freqprep.storage import object_client
from freqprep.streaming import threads

pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

LANES = {"batch_size": 16, "lanes": 2, "window_bytes": 2**14}

READER = """
import sys, freqprep
split = freqprep.open_store(sys.argv[1])["train"]
loader = freqprep.Loader(split, threads=4, batch_size=16, lanes=2, window_bytes=2**14)
for number, batch in enumerate(loader):
    if number == 2:
        print("two batches", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def impatient(monkeypatch):
    """Clients that give up soon."""
    monkeypatch.setitem(object_client._LIMITS, "read_timeout", timedelta(milliseconds=300))
    monkeypatch.setitem(object_client._RETRIES, "max_retries", 3)
    object_client._opened.cache_clear()
    yield
    object_client._opened.cache_clear()


def test_threads_follow_from_the_latency_which_is_measured_once(
    remote, split, slow_server, monkeypatch
):
    monkeypatch.setattr(threads, "_measured", {})
    assert Loader(split, CHANNELS).threads == 2
    assert Loader(remote, CHANNELS, threads=3).threads == 3
    slow_server.behave(delay=0.02)
    measured = Loader(remote, CHANNELS).threads
    assert measured > 2
    slow_server.behave()
    slow_server.counts()
    assert Loader(remote, CHANNELS).threads == measured
    assert slow_server.counts().requests == {"GET": 1}  # the manifest


def test_a_shard_is_two_round_trips(remote, slow_server):
    with Loader(remote, CHANNELS, **LANES) as loader:
        slow_server.counts()
        taken(loader)
        # The manifest; an index and the runs of the channels for each of 11 shards. Later the
        # indexes are known.
        assert slow_server.counts().requests == {"GET": 1 + 11 * 2}
        taken(loader)
        assert slow_server.counts().requests == {"GET": 1 + 11}


@pytest.mark.parametrize(
    "fault", [Fault("503", every=5), Fault("cut", every=7), Fault("stall", every=9, times=2)]
)
def test_requests_that_fail_are_made_again(impatient, remote, split, slow_server, fault):
    with Loader(remote, CHANNELS, **LANES) as loader:
        slow_server.behave(fault)
        assert_same(taken(loader), taken(Loader(split, CHANNELS, **LANES)))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("403", AccessDeniedError, "the server refuses access to s3://slow/many.zarr/train/"),
        ("404", ShardMissingError, "shard s3://slow/many.zarr/train/coefficients/c/7/0/0/0"),
        ("503", ObjectStoreError, "s3://slow/many.zarr/train/coefficients/c/7/0/0/0"),
        ("stall", ObjectStoreError, "s3://slow/many.zarr/train/coefficients/c/7/0/0/0"),
    ],
)
def test_an_epoch_that_cannot_go_on_says_where(
    impatient, remote, split, slow_server, fault, error, words
):
    with Loader(remote, CHANNELS, **LANES) as loader:
        slow_server.behave(Fault(fault, key="coefficients/c/7/"))
        with pytest.raises(error) as caught:
            taken(loader)
        assert words in str(caught.value) and "c/7/0/0/0" in str(caught.value)
        slow_server.behave()
        assert_same(taken(loader, epoch=4), taken(Loader(split, CHANNELS, **LANES), epoch=4))


def test_an_interrupt_ends_a_loader_whose_server_is_silent(url, slow_server):
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert reader.stdout.readline() == "two batches\n"
    slow_server.behave(Fault("stall"))
    reader.stdin.write("\n")
    reader.stdin.flush()
    while slow_server.counts().total == 0 and reader.poll() is None:
        pass
    reader.send_signal(signal.SIGINT)
    _, words = reader.communicate(timeout=15)  # far less than the time limit of a request
    assert "KeyboardInterrupt" in words
