"""Lengths of the files of a split as a listing has them: 8 bytes a shard, not an object each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from freqprep.store.layout import shard_number

ABSENT = -1


class StoredLengths:
    """Lengths of the files below a split's folder.

    Parameters
    ----------
    files : iterable of (str, int)
        Path of each relative to the split, and length in bytes.
    shards : int
        Number of shards that the split has.

    Attributes
    ----------
    shards : ndarray of int64, shape (shards,)
        Length of each shard's file; -1 if it is not there.
    others : dict of str to int
        The other files; also those of shards that the split does not have.
    """

    def __init__(self, files: Iterable[tuple[str, int]], shards: int) -> None:
        self.shards = np.full(shards, ABSENT, np.int64)
        self.others: dict[str, int] = {}
        for name, length in files:
            shard = shard_number(name)
            if shard is not None and shard < shards:
                self.shards[shard] = length
            else:
                self.others[name] = length

    def has_shard(self, shard: int, length: int) -> bool:
        """Return whether a shard's file is there and of a length."""
        return 0 <= shard < len(self.shards) and bool(self.shards[shard] == length)
