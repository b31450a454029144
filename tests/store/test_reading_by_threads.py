"""One open split in the hands of several threads, or of another process."""

import pickle
from collections.abc import Callable

import numpy as np
from in_threads import together

import freqprep
from freqprep.store.cache import ChunkCache


def test_one_split_read_by_threads_gives_each_its_rows(store):
    split = freqprep.open_store(store)["train"]
    every = split.read(split.valid)
    valid = np.flatnonzero(split.valid)
    pictures = [split.image(row) for row in valid[:6].tolist()]
    shared = freqprep.open_store(store)["train"]
    shared._cache = ChunkCache(40 * 128 * 16)  # of 384 chunks: most must make room for others

    def reader(seed: int) -> Callable[[], bool]:
        rng = np.random.default_rng(seed)

        def read() -> bool:
            same = []
            for _ in range(12):
                places = rng.integers(0, len(valid), 3)
                channels = rng.permutation(192)[:20].tolist()
                found = shared.read(valid[places], channels)
                same.append(np.array_equal(found, every[places][:, channels]))
            same += [np.array_equal(shared.image(int(valid[i])), pictures[i]) for i in range(6)]
            return all(same)

        return read

    assert together(*map(reader, range(6))) == [True] * 6


def test_a_cache_shared_by_threads_stays_within_its_limit():
    cache = ChunkCache(100)

    def use(seed: int) -> Callable[[], None]:
        def work() -> None:
            for number in np.random.default_rng(seed).integers(0, 12, 3000).tolist():
                chunk = cache.get((0, number))
                if chunk is None:
                    cache.put((0, number), np.full(number + 10, number, np.int8))
                else:
                    assert chunk.shape == (number + 10,) and (chunk == number).all()

        return work

    together(*map(use, range(6)))
    left = [chunk.nbytes for key in range(12) if (chunk := cache.get((0, key))) is not None]
    assert cache._held == sum(left) <= 100


def test_an_open_split_can_be_sent_to_another_process(store):
    split = freqprep.open_store(store)["train"]
    rows = np.flatnonzero(split.valid)[:3]
    expected = split.read(rows)
    assert np.array_equal(pickle.loads(pickle.dumps(split)).read(rows), expected)
