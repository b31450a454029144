"""Keys of the rows of a split, as text."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import overload

from freqprep.ragged import Ragged
from freqprep.store.lazy_ragged import LazyRagged


class Keys(Sequence[str]):
    """Keys of all rows as text; bytes that are not UTF-8 become surrogate escapes."""

    def __init__(self, ragged: Ragged | LazyRagged) -> None:
        self._ragged = ragged

    def __len__(self) -> int:
        return len(self._ragged)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[r] for r in range(*row.indices(len(self)))]
        return self._ragged.bytes_at(operator.index(row)).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (row.tobytes().decode("utf-8", "surrogateescape") for row in self._ragged)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        return f"Keys({len(self)} rows)"
