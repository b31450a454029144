"""The number of reading threads: it follows from the bytes of an image, and from the cores."""

from __future__ import annotations

import os

from freqprep import engines
from freqprep.streaming.state import check_integer

IMAGES_PER_SECOND = 6000
"""Images that a network takes in a second: MobileNetV2 on a large GPU."""

BYTES_PER_CPU_SECOND = 1e9
"""Codes that a core decodes in a second: measured between 0.9 and 1.4 thousand million, the most
for all channels, of which many are nearly empty."""

_AT_LEAST = 2


def reading_threads(image_bytes: int, cores: int) -> int:
    """Compute how many threads read fast enough for a network of `IMAGES_PER_SECOND`. Pure.

    Parameters
    ----------
    image_bytes : int
        Bytes of an image's codes: channels read x rows x columns x bytes of a code.
    cores : int
        Processor cores for this process.

    Returns
    -------
    int
        At least 2, at most ``cores``.
    """
    needed = -(-image_bytes * IMAGES_PER_SECOND // int(BYTES_PER_CPU_SECOND))
    return max(1, min(max(needed, _AT_LEAST), cores))


def choose_threads(given: int | None, image_bytes: int) -> int:
    """Return the given number of reading threads, or the number that an image's bytes need here.

    Parameters
    ----------
    given : int or None
    image_bytes : int
        As in `reading_threads`.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        A number was given that is no integer, or less than 1.
    """
    if given is not None:
        return check_integer("threads", given)
    return reading_threads(image_bytes, cores_of_this_process())


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
