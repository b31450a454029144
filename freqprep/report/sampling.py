"""Choice of the sample images that a report shows."""

from __future__ import annotations

import numpy as np

from freqprep.spectrum.channels import channels
from freqprep.spectrum.dct import grid_of
from freqprep.store.plan import evenly_spread
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split

SAMPLES = 3
_SHARDS = 4
"""Number of shards to choose from. Rows are permuted, so their images are a random sample."""

_SMALLEST_SHARE = 0.5
_LEAST_DETAIL = 0.5
_CHROMA = ("cb_0_0", "cr_0_0")
_MEAN_WEIGHT = 0.3


def sample_rows(split: Split, count: int = SAMPLES) -> list[int]:
    """Choose colourful images of different classes, deterministically.

    Of up to 512 valid rows, images that are small or have less than half the detail of the median
    image come last. The others are sorted by colour, then by detail, with one image of each class
    before the second of any. Detail is measured by the rounding error of the stored image: smooth
    images round to zeros without error.

    Returns
    -------
    list of int
        ``count`` rows, the most colourful first; fewer where the split has fewer valid ones.
    """
    rows = _candidates(split)
    if not rows.size:
        return []
    blocks = split.blocks[rows]
    detail = split.array("luma_squared_error")[rows] / blocks
    large = blocks >= _SMALLEST_SHARE * blocks.max()
    good = large & (detail >= _LEAST_DETAIL * np.median(detail[large]))
    colour = colourfulness(split, rows)
    # By the last key first; rows keep their order where all else is the same.
    order = np.lexsort([-detail, -colour, ~good])
    turn = _occurrence(split.labels[rows[order]])
    best = order[np.lexsort([turn, ~good[order]])]
    chosen: list[int] = rows[best[:count]].tolist()
    return chosen


def _candidates(split: Split) -> np.ndarray:
    """Valid rows of a few shards, spread evenly."""
    valid = np.flatnonzero(split.valid)
    shards = np.unique(valid // ROWS_PER_SHARD)
    few = shards[evenly_spread(len(shards), _SHARDS)]
    return valid[np.isin(valid // ROWS_PER_SHARD, few)]


def colourfulness(split: Split, rows: np.ndarray) -> np.ndarray:
    """Compute the colourfulness of images from the spread and the mean of their chroma.

    The measure of Hasler and Süsstrunk (2003) with Cb and Cr as the two axes of colour.

    Parameters
    ----------
    split : Split
    rows : ndarray of int64, shape (n,)
        Valid rows.

    Returns
    -------
    ndarray of float64, shape (n,)
        Colourfulness in units of coefficients; 0 for grey images, and for all where the split does
        not store both means of chroma.
    """
    if not set(channels(_CHROMA).indices) <= set(split.attributes.channels):
        return np.zeros(len(rows))
    chroma = split.read(rows, _CHROMA)
    found = np.empty(len(rows))
    for number, size in enumerate(split.sizes[rows].tolist()):
        down, across = grid_of(*size)
        blocks = chroma[number, :, :down, :across].reshape(len(_CHROMA), -1)
        spread, mean = blocks.std(axis=1), blocks.mean(axis=1)
        found[number] = np.hypot(*spread) + _MEAN_WEIGHT * np.hypot(*mean)
    return found


def _occurrence(labels: np.ndarray) -> np.ndarray:
    """Number of earlier occurrences of each label; 0 for images without a label."""
    seen: dict[int, int] = {}
    turns = []
    for label in labels.tolist():
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + (label >= 0)
    return np.array(turns, np.int64)
