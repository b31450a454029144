"""The number of reading threads: enough for a fast network, more where storage answers late."""

import numpy as np
import pytest
from batches import CHANNELS, assert_same, taken

from freqprep import Loader, engines
from freqprep.errors import UsageError
from freqprep.streaming.threads import (
    BYTES_PER_CPU_SECOND,
    IMAGES_PER_SECOND,
    MOST_WAITING,
    choose_threads,
    cores_of_this_process,
    reading_threads,
)

PLACES = 64 * 64


@pytest.mark.parametrize(
    ("channels", "cores", "threads"),
    [
        *((24, cores, 2) for cores in (2, 4, 8, 16)),
        *((64, cores, 2) for cores in (2, 4, 8, 16)),
        *((192, cores, min(cores, 5)) for cores in (1, 2, 3, 4, 8, 16)),
    ],
)
def test_the_figures_of_the_documentation(channels, cores, threads):
    assert reading_threads(channels * PLACES, cores) == threads


def test_they_read_as_fast_as_the_network_takes_unless_cores_are_missing():
    for image_bytes in np.random.default_rng(0).integers(1, 10**7, 200).tolist():
        for cores in (1, 2, 5, 64):
            threads = reading_threads(image_bytes, cores)
            assert min(2, cores) <= threads <= cores
            enough = threads * BYTES_PER_CPU_SECOND >= IMAGES_PER_SECOND * image_bytes
            assert enough or threads == cores
            # One thread less would not do.
            fewer = (threads - 1) * BYTES_PER_CPU_SECOND >= IMAGES_PER_SECOND * image_bytes
            assert not fewer or threads == 2


@pytest.mark.parametrize(
    ("milliseconds", "cores", "threads"),
    [(0, 16, 2), (0.5, 16, 3), (5, 16, 5), (20, 2, 11), (20, 16, 11), (20, 1, 6), (100, 16, 47)],
)
def test_more_threads_where_storage_answers_late(milliseconds, cores, threads):
    assert reading_threads(24 * PLACES, cores, milliseconds / 1000) == threads


def test_late_answers_never_mean_fewer_threads_or_too_many():
    draw = np.random.default_rng(1)
    for image_bytes, cores in draw.integers([1, 1], [10**7, 64], (200, 2)).tolist():
        local = reading_threads(image_bytes, cores)
        found = [reading_threads(image_bytes, cores, wait) for wait in (0, 1e-4, 0.02, 0.1, 60)]
        assert found == sorted(found) and found[0] == local
        assert found[-1] == max(local, MOST_WAITING)


@pytest.mark.parametrize(
    ("processes", "cores"), [(None, 8), ("1", 8), ("3", 2), ("8", 1), ("20", 1), ("x", 8)]
)
def test_processes_of_a_host_share_its_cores(monkeypatch, processes, cores):
    monkeypatch.setattr(engines, "default_jobs", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert cores_of_this_process() == cores


def test_a_given_number_counts(monkeypatch, split):
    monkeypatch.setattr(engines, "default_jobs", lambda: 3)
    assert choose_threads(7, 1, split) == 7 and choose_threads(None, 10**9, split) == 3
    assert Loader(split, CHANNELS).threads == 2
    assert Loader(split, CHANNELS, threads=9).threads == 9
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(UsageError, match="threads must be a whole number"):
            Loader(split, CHANNELS, threads=wrong)


def test_the_codes_of_an_image_count(monkeypatch, split):
    monkeypatch.setattr(engines, "default_jobs", lambda: 10**6)
    monkeypatch.setattr("freqprep.streaming.threads.BYTES_PER_CPU_SECOND", IMAGES_PER_SECOND)
    assert Loader(split, CHANNELS).threads == split.read_codes([0], CHANNELS).nbytes
    assert Loader(split, None).threads == split.read_codes([0], None).nbytes


@pytest.mark.parametrize("options", [{}, {"lanes": 2}, {"shuffle": False}])
def test_batches_do_not_depend_on_the_number(split, options):
    with Loader(split, CHANNELS, batch_size=16, threads=1, **options) as loader:
        expected, state = taken(loader), loader.state_dict()
    for threads in (None, 2, 7):
        with Loader(split, CHANNELS, batch_size=16, threads=threads, **options) as loader:
            assert_same(taken(loader), expected)
            assert loader.state_dict() == state
