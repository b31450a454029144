"""The number of reading threads: it follows from an image's bytes, the cores and the latency."""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import time

from freqprep import engines
from freqprep.arguments import check_integer
from freqprep.errors import CorruptStoreError
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.ranged_file import open_ranged
from freqprep.store.layout import shard_name
from freqprep.store.plan import evenly_spread
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split

IMAGES_PER_SECOND = 6000
"""Images that a network takes in a second: MobileNetV2 on a large GPU."""

BYTES_PER_CPU_SECOND = 1e9
"""Codes that a core decodes in a second: measured between 0.9 and 1.4 thousand million, the most
for all channels, of which many are nearly empty."""

MOST_WAITING = 64
"""Threads at most, however long they wait for each answer."""

ROUND_TRIPS = 2
"""Round trips of a shard: its index, and all runs of its channels at once."""

MOST_THREADS = 1024
"""Most reading threads that can be asked for."""

_AT_LEAST = 2
_ASKED = 3
_FEW_BYTES = (0, 16)
_MORE = 1.4

_measured: dict[ObjectPath, float] = {}


def reading_threads(image_bytes: int, cores: int, round_trip: float = 0.0) -> int:
    """Compute how many threads read fast enough for a network of `IMAGES_PER_SECOND`. Pure.

    So many threads decode, at most as many as there are cores; where storage answers late, others
    wait meanwhile: as many as the ratio of both times asks for, and two fifths more, for answers
    and shards differ. They take turns at the cores (`freqprep.streaming.turns`).

    Parameters
    ----------
    image_bytes : int
        Bytes of an image's codes: channels read x rows x columns x bytes of a code.
    cores : int
        Processor cores for this process.
    round_trip : float
        Seconds from a request to its answer.

    Returns
    -------
    int
        At least 2; at most ``cores``, or 64 with a round trip.
    """
    needed = -(-image_bytes * IMAGES_PER_SECOND // int(BYTES_PER_CPU_SECOND))
    decoding = max(1, min(max(needed, _AT_LEAST), cores))
    a_shard = ROWS_PER_SHARD * image_bytes / BYTES_PER_CPU_SECOND
    waiting = _MORE * decoding * ROUND_TRIPS * round_trip / a_shard
    return max(decoding, min(math.ceil(decoding + waiting), MOST_WAITING))


def choose_threads(given: int | None, image_bytes: int, split: Split) -> int:
    """Return the given number of reading threads, or the number that an image's bytes need here.

    Parameters
    ----------
    given : int or None
    image_bytes : int
        As in `reading_threads`.
    split : Split
        What they read; if no number is given, the latency of its bucket is measured.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        A number was given that is no integer, less than 1, or more than `MOST_THREADS`.
    """
    if given is not None:
        return check_integer("threads", given, most=MOST_THREADS)
    return reading_threads(image_bytes, cores_of_this_process(), round_trip(split))


def round_trip(split: Split) -> float:
    """Return the seconds of a small request to the bucket of a split; 0 for a local folder.

    Parameters
    ----------
    split : Split

    Returns
    -------
    float
        Median of a few requests, made once for each store in a process: a loader of an epoch that
        is all in the cache asks for nothing. The cache is passed by.
    """
    if not isinstance(split.path, ObjectPath):
        return 0.0
    store = split.path.parent
    if store not in _measured:
        _measured[store] = _median_of_a_few(split)
    return _measured[store]


def _median_of_a_few(split: Split) -> float:
    seconds = []
    for shard in evenly_spread(split.shards, _ASKED).tolist():
        file_bytes = split.shard_table.file_bytes(shard)
        began = time.perf_counter()
        # What is wrong with a shard is said when its rows are read.
        with contextlib.suppress(CorruptStoreError, FileNotFoundError):
            next(open_ranged(split.path / shard_name(shard), file_bytes).read_runs([_FEW_BYTES]))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def cores_of_this_process() -> int:
    """Count the usable cores, shared among the processes that ``torchrun`` started on this host.

    Affinity and the quota of a container are considered.

    Returns
    -------
    int
        At least 1.
    """
    processes = os.environ.get("LOCAL_WORLD_SIZE", "1")
    sharing = int(processes) if processes.isdecimal() else 1
    return max(1, engines.default_jobs() // max(sharing, 1))
