"""Results of the shards of a finished split, read from its arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.plan import shard_count
from freqprep.store.reader import Split
from freqprep.store.schema import ROWS_PER_SHARD

ROW_FIELDS = tuple(field.name for field in dataclasses.fields(RowResults))


class StoredResults(Mapping[int, ShardResult]):
    """Result of each shard as the arrays of its split have it.

    Of the moments only the sum of all shards is stored: the first shard has it, others have none.

    Parameters
    ----------
    split : Split
        All 192 channels are stored.
    moments : Moments
        What the first shard has.
    """

    def __init__(self, split: Split, moments: Moments) -> None:
        self._split, self._moments = split, moments
        self._columns = {name: split.arrays.in_parts(name) for name in ROW_FIELDS}
        self._texts = {name: split.arrays.texts(name) for name in ("defect", "note")}

    def rows(self, shard: int) -> RowResults:
        """Return the results of the images of a shard."""
        rows = self._rows(shard)
        columns = self._columns.items()
        return RowResults(**{name: array.rows(rows.start, rows.stop) for name, array in columns})

    def __getitem__(self, shard: int) -> ShardResult:
        if not 0 <= shard < len(self):
            raise KeyError(shard)
        entry = self._split.shard_table.entry(shard)
        return ShardResult(
            shard=shard,
            sha256=entry.sha256,
            file_bytes=entry.file_bytes,
            rows=self.rows(shard),
            moments=Moments.zero(CHANNELS) if shard else self._moments,
            defects=self._texts_of("defect", shard),
            notes=self._texts_of("note", shard),
        )

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return shard_count(len(self._split))

    def _rows(self, shard: int) -> range:
        first = shard * ROWS_PER_SHARD
        return range(first, min(first + ROWS_PER_SHARD, len(self._split)))

    def _texts_of(self, name: str, shard: int) -> dict[int, str]:
        texts = self._texts[name]
        found = {row: texts.bytes_at(row).decode("utf-8", "replace") for row in self._rows(shard)}
        return {row: text for row, text in found.items() if text}
