"""One of several parts of a conversion, and the names by which its journals are found."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

from freqprep.errors import UsageError

_MOST_PARTS = 100_000


@dataclass(frozen=True)
class Part:
    """One of several parts: of each split the shards ``number - 1``, ``number - 1 + parts``, ...

    Where shards are made together, as those of tables, groups of them are dealt in this way.

    Attributes
    ----------
    number : int
        From 1.
    parts : int
    """

    number: int
    parts: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``I/N``.

        Raises
        ------
        UsageError
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, parts = (int(digits) for digits in found.groups()) if found else (0, 0)
        if not 1 <= number <= parts <= _MOST_PARTS:
            raise UsageError(
                f"--part must be I/N with I from 1 to N, got {text!r}", "the third of 8 is 3/8"
            )
        return cls(number, parts)

    @classmethod
    def named(cls, name: str) -> Self | None:
        """Return the part whose journal has a name that begins with `label`; else None."""
        found = re.match(r"part-([0-9]+)-of-([1-9][0-9]*)(?![0-9])", name)
        return cls(*(int(digits) for digits in found.groups())) if found else None

    @property
    def label(self) -> str:
        """Beginning of the names of its journals."""
        return f"part-{self.number}-of-{self.parts}"

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def of(self, shards: int, together: int = 1) -> list[int]:
        """Return the shards of this part, of so many, where some consecutive ones go together."""
        groups = range((self.number - 1) * together, shards, self.parts * together)
        return [s for first in groups for s in range(first, min(first + together, shards))]

    def with_shard(self, shard: int, together: int = 1) -> Part:
        """Return the part, of as many as these, that has a shard."""
        return Part(shard // together % self.parts + 1, self.parts)

    def overlaps(self, other: Part) -> bool:
        """Return whether this part and one of another number of parts can share a shard.

        Where shards go together they may share one that this does not see; it is then made twice.
        """
        return (self.number - other.number) % math.gcd(self.parts, other.parts) == 0
