"""Loaders of stores in a bucket: requests and the local cache."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from batches import CHANNELS, assert_same, opened, taken
from cached_reader import bytes_in, cached_runs, checksums

import freqprep
from freqprep import Dataset, Loader
from freqprep.errors import CorruptStoreError, StoreError, UsageError

pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

LANES = {"batch_size": 16, "lanes": 2, "window_bytes": 2**14}
FAR_APART = [f"{c}_{v}_{h}" for c in ("y", "cb", "cr") for v in (1, 4) for h in (1, 4, 7)]
"""Channels of which no two are stored together: 18 runs a shard."""

READER = Path(__file__).with_name("cached_reader.py")


@pytest.mark.parametrize("options", [{}, {"lanes": 2, "window_bytes": 2**14}, {"shuffle": False}])
def test_an_epoch_that_the_cache_holds_makes_no_request(
    remote, split, slow_server, tmp_path, options
):
    cache = {"cache": tmp_path / "cache", "cache_bytes": 10**8}
    with Loader(split, CHANNELS, batch_size=16, **options) as loader:
        expected = [taken(loader) for _ in range(3)]
    with Loader(remote, CHANNELS, batch_size=16, **options, **cache) as loader:
        assert_same(taken(loader), expected[0])
        slow_server.counts()
        assert_same(taken(loader), expected[1])
        assert slow_server.counts().total == 0
    again = opened(str(remote.path.parent))
    with Loader(again, CHANNELS, batch_size=16, threads=2, **options, **cache) as loader:
        slow_server.counts()
        loader.set_epoch(2)
        assert_same(taken(loader), expected[2])
        assert slow_server.counts().total == 0


def test_other_channels_and_stores_share_a_cache(remote, split, store, tmp_path):
    cache = {"cache": tmp_path / "cache", "cache_bytes": 10**8}
    other = freqprep.open_store(store)["train"]
    for _ in range(2):
        for channels in (CHANNELS, ["cr_2_2", "y_0_1"], None):
            with Loader(remote, channels, shuffle=False, **cache) as loader:
                assert_same(taken(loader), taken(Loader(split, channels, shuffle=False)))
        with Loader(other, CHANNELS, shuffle=False, **cache) as loader:
            assert_same(taken(loader), taken(Loader(other, CHANNELS, shuffle=False)))
    assert len(list((tmp_path / "cache").glob("?" * 64))) == 2


def test_a_data_set_has_one_too(remote, split, slow_server, tmp_path):
    data = Dataset(remote, CHANNELS, cache=tmp_path / "cache", cache_bytes=10**8)
    expected = Dataset(split, CHANNELS)
    rows = list(range(0, len(data), 37))
    for cached, plain in zip(data.__getitems__(rows), expected.__getitems__(rows), strict=True):
        np.testing.assert_array_equal(cached[0], plain[0])
    again = opened(str(remote.path.parent))
    again = Dataset(again, CHANNELS, cache=tmp_path / "cache", cache_bytes=10**8)
    slow_server.counts()
    again.__getitems__(rows)
    assert slow_server.counts().total == 0


def test_a_store_replaced_meanwhile_is_noticed_before_more_is_read(
    many, slow_server, store, tmp_path
):
    url = slow_server.load(many, "replaced.zarr")
    split = freqprep.open_store(url)["train"]
    cache = {"cache": tmp_path / "cache", "cache_bytes": 10**8}
    whole = Loader(split, CHANNELS, **LANES, **cache)
    part = Loader(split, ["y_0_0", "y_3_3"], **LANES, **cache)
    expected = taken(whole)
    assert len(expected) == len(whole)
    slow_server.load(store, "replaced.zarr")
    assert len(taken(whole)) == len(whole)  # what the cache holds stays right
    with pytest.raises(StoreError, match="was replaced after it was opened"):
        taken(part)


def test_damage_in_the_bucket_is_not_kept(many, slow_server, tmp_path):
    url = slow_server.load(many, "damaged.zarr")
    split = freqprep.open_store(url)["train"]
    good = (many / "train/coefficients/c/3/0/0/0").read_bytes()
    for position in (5, len(good) - 5):
        bad = bytearray(good)
        bad[position] ^= 1
        place = tmp_path / str(position)
        (place / "bad").mkdir(parents=True)
        (place / "good").mkdir()
        (place / "bad/0").write_bytes(bad)
        (place / "good/0").write_bytes(good)
        loader = Loader(
            split, None, shuffle=False, cache=tmp_path / f"cache-{position}", cache_bytes=10**8
        )
        slow_server.load(place / "bad", "damaged.zarr/train/coefficients/c/3/0/0")
        with pytest.raises(CorruptStoreError, match=r"slow/damaged\.zarr/train/coefficients/c/3/"):
            taken(loader)
        slow_server.load(place / "good", "damaged.zarr/train/coefficients/c/3/0/0")
        local = freqprep.open_store(many)["train"]
        assert_same(taken(loader, epoch=7), taken(Loader(local, None, shuffle=False), epoch=7))


def test_files_of_the_cache_that_are_damaged_are_fetched_again(
    remote, split, slow_server, tmp_path
):
    loader = Loader(remote, CHANNELS, **LANES, cache=tmp_path / "cache", cache_bytes=10**8)
    taken(loader)
    draw = random.Random(0)
    files = cached_runs(tmp_path / "cache")
    for path in files:
        data = bytearray(path.read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
    slow_server.counts()
    assert_same(taken(loader), taken(Loader(split, CHANNELS, **LANES), epoch=1))
    assert slow_server.counts().total == 1 + 11 * 2  # the runs of a shard are close together
    slow_server.counts()
    taken(loader)
    assert slow_server.counts().total == 0


def test_what_cannot_be_a_cache_is_refused(remote, split, many, tmp_path):
    good = {"cache": tmp_path / "cache", "cache_bytes": 10**8}
    for wrong, message in [
        ({"cache_bytes": None}, "a cache has a folder and a limit"),
        ({"cache": None}, "a cache has a folder and a limit"),
        ({"cache_bytes": 0}, "cache_bytes must be a whole number, at least 1"),
        ({"cache": "s3://slow/cache"}, "a cache cannot be at s3://slow/cache"),
        ({"cache": Path(__file__).parent}, "not a cache: it has other files in it"),
    ]:
        for make in (Loader, Dataset):
            with pytest.raises(UsageError, match=message):
                make(remote, CHANNELS, **{**good, **wrong})
    for inside in (many, many / "train", many / "train" / "cache"):
        with pytest.raises(UsageError, match="is in the store"):
            Loader(split, CHANNELS, cache=inside, cache_bytes=10**8)
    assert not (many / "train" / "cache").exists()


def test_a_limit_below_what_is_read_at_a_time_is_refused(remote, tmp_path):
    for threads in (1, 5):
        with pytest.raises(UsageError) as caught:
            Loader(remote, None, threads=threads, cache=tmp_path / "cache", cache_bytes=5000)
        words = str(caught.value)
        needed = int(words.split("at a time take about ")[1].split()[0])
        assert "a cache of 5000 bytes is too small" in words and "192 channels" in words
        Loader(remote, None, threads=threads, cache=tmp_path / "cache", cache_bytes=needed)


def test_three_processes_one_killed_and_a_hundred_files_damaged(url, split, slow_server, tmp_path):
    folder, limit, draw = tmp_path / "cache", 600_000, random.Random(0)
    options = [{"channels": FAR_APART, "seed": seed, **LANES} for seed in range(3)]
    words = [sys.executable, str(READER), url, str(folder), str(limit)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    readers = [
        subprocess.Popen(
            [*words, json.dumps({**mine, "threads": 3})],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for mine in options
    ]
    sums = [checksums(split, **mine) for mine in options]
    taken_most, living = 0, list(range(3))
    try:
        for step in range(120):
            for seed in living:
                line = readers[seed].stdout.readline()
                assert line, readers[seed].stderr.read()
                assert int(line) == next(sums[seed])
            taken_most = max(taken_most, bytes_in(folder))
            if step == 30:
                readers[0].send_signal(signal.SIGKILL)
                living.remove(0)
            if step == 70:
                for path in draw.sample(cached_runs(folder), 100):
                    path.write_bytes(path.read_bytes()[:-1] + b"x")
    finally:
        for reader in readers:
            reader.kill()
        errors = [reader.communicate()[1] for reader in readers]
    assert errors == ["", "", ""]
    assert limit / 2 < taken_most <= limit + 8192
