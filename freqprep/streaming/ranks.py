"""Rank and world size of this training process."""

from __future__ import annotations

import os
from dataclasses import dataclass

from freqprep.arguments import check_integer
from freqprep.errors import UsageError


@dataclass(frozen=True)
class Told:
    """Rank and world size that a caller was given, each or neither.

    Attributes
    ----------
    rank, world_size : int or None
    evaluating : bool
        Whether rows are read in order, as for evaluation: then one process may read all of them,
        or each of several.

    Raises
    ------
    UsageError
        One is no whole number of its range.
    """

    rank: int | None = None
    world_size: int | None = None
    evaluating: bool = False

    def __post_init__(self) -> None:
        if self.rank is not None:
            object.__setattr__(self, "rank", check_integer("rank", self.rank, 0))
        if self.world_size is not None:
            object.__setattr__(self, "world_size", check_integer("world_size", self.world_size))

    def process(self) -> tuple[int, int]:
        """Find rank and world size of the processes that share an epoch.

        They are those of torch's process group, where one is initialised, else those of the
        environment that ``torchrun`` sets, else 0 of 1.

        Returns
        -------
        rank, world_size : int

        Raises
        ------
        UsageError
            What was told differs, or the environment contradicts itself.
        """
        if self.evaluating and self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        found_rank, found_size = _found()
        told = (
            found_rank if self.rank is None else self.rank,
            found_size if self.world_size is None else self.world_size,
        )
        if found_size > 1 and told != (found_rank, found_size):
            raise UsageError(
                f"rank={told[0]} of world_size={told[1]} was given, but this is process"
                f" {found_rank} of {found_size}: rows would be read twice, or not at all",
                "leave out rank and world_size; with shuffle=False both together may be others",
            )
        return told

    def check_rank_known(self) -> None:
        """Raise UsageError if there is a world size but no rank.

        Checked when an iterator begins, not when a loader is made: some launchers set the world
        size first and initialise a process group later.
        """
        if self.rank is not None and self.world_size is not None:
            return
        if "RANK" in os.environ or _in_group():
            return
        if self.rank is None and (self.world_size or 1) > 1:
            raise UsageError(
                f"world_size={self.world_size} was given without a rank: each process would read"
                " the rows of rank 0",
                "give rank as well, or start the processes with torchrun",
            )
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
