"""Rank and world size of this training process."""

from __future__ import annotations

import os

from freqprep.arguments import check_integer
from freqprep.errors import UsageError


def this_process(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Find rank and world size of the processes that share an epoch.

    They are those of torch's process group, where one is initialised, else those of the
    environment that ``torchrun`` sets, else 0 of 1.

    Parameters
    ----------
    rank, world_size : int, optional
        Values that the caller was given; they must agree.

    Returns
    -------
    rank, world_size : int

    Raises
    ------
    UsageError
        The given values differ, or the environment contradicts itself.
    """
    found_rank, found_size = _found()
    told = (found_rank if rank is None else rank, found_size if world_size is None else world_size)
    if found_size > 1 and told != (found_rank, found_size):
        raise UsageError(
            f"rank={told[0]} of world_size={told[1]} was given, but this is process {found_rank}"
            f" of {found_size}: rows would be read twice, or not at all",
            "leave out rank and world_size",
        )
    return told


def given_ranks(rank: int | None, world_size: int | None) -> tuple[int | None, int | None]:
    """Return both as given; raise UsageError where one is no whole number of its range."""
    return (
        None if rank is None else check_integer("rank", rank, 0),
        None if world_size is None else check_integer("world_size", world_size),
    )


def check_rank_known(rank: int | None, world_size: int | None) -> None:
    """Raise UsageError if the environment names a world size but no rank.

    Checked when an iterator begins, not when a loader is made: some launchers set the world size
    first and initialise a process group later.
    """
    if None not in (rank, world_size) or "RANK" in os.environ or _in_group():
        return
    if (size := _found()[1]) > 1:
        raise not_torchrun(f"WORLD_SIZE={size}, but there is no RANK and no process group")


def _in_group() -> bool:
    import torch.distributed as distributed

    return distributed.is_available() and distributed.is_initialized()


def _found() -> tuple[int, int]:
    import torch.distributed as distributed

    if _in_group():
        return distributed.get_rank(), distributed.get_world_size()
    size, rank, _ = process_numbers()
    return rank, size


def process_numbers() -> tuple[int, int, int]:
    """Read world size, rank and local rank from the environment; 1, 0 and 0 by default.

    Raises
    ------
    UsageError
        The environment has values that ``torchrun`` does not set.
    """
    names = ("WORLD_SIZE", "RANK", "LOCAL_RANK")
    texts = [os.environ.get(name, default) for name, default in zip(names, "100", strict=True)]
    if not all(text.isdecimal() for text in texts):
        raise not_torchrun(", ".join(map("=".join, zip(names, texts, strict=True))))
    size, rank, local = map(int, texts)
    if not rank < size:
        raise not_torchrun(f"process {rank} of {size}")
    return size, rank, local


def not_torchrun(what: str) -> UsageError:
    """Make the error for processes that were not started as ``torchrun`` starts them."""
    return UsageError(
        f"the processes of this run cannot find each other: {what}",
        "start several with torchrun, or unset WORLD_SIZE and RANK for one",
    )
