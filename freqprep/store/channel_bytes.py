"""Bytes read from disk for channels of a split, measured on its shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freqprep.spectrum.channels import CHANNELS
from freqprep.store.plan import evenly_spread
from freqprep.store.shard import index_bytes
from freqprep.store.split import Split

_SAMPLED_SHARDS = 64


@dataclass(frozen=True, eq=False)
class ChannelBytes:
    """Bytes of each channel in a sample of a split's shards.

    Attributes
    ----------
    totals : ndarray of int64, shape (192,)
        Bytes over the sampled shards, channels in raster order; 0 for channels not stored.
    index_bytes : int
        Bytes of the index of one shard.
    sampled, shards : int
        Number of shards measured, and of all shards.
    """

    totals: np.ndarray
    index_bytes: int
    sampled: int
    shards: int

    @classmethod
    def of(cls, split: Split) -> ChannelBytes:
        """Measure up to 64 evenly spread shards from their indexes alone."""
        shards = evenly_spread(split.shards, _SAMPLED_SHARDS)
        totals = np.zeros(CHANNELS, np.int64)
        stored = list(split.attributes.channels)
        for shard in shards.tolist():
            with split.open_shard(shard) as file:
                totals[stored] += file.chunk_lengths
        return cls(totals, index_bytes(len(stored)), len(shards), split.shards)

    def read(self, indices: Sequence[int]) -> float:
        """Estimate the bytes read for some channels of the whole split, shard indexes included."""
        total = int(self.totals[list(indices)].sum()) + self.index_bytes * self.sampled
        return total * self.shards / self.sampled


def bytes_read(split: Split, indices: Sequence[int]) -> float:
    """Estimate the bytes read for some channels of the whole split from a sample of shards."""
    return ChannelBytes.of(split).read(indices)
