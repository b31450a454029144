"""The same numbers as the pass over a split, from all its codes at once, the slow way."""

from dataclasses import dataclass

import numpy as np

from freqprep.importance.shard_counts import GROUPS
from freqprep.spectrum.dct import grid_of, inverse
from freqprep.store.reader import Split


@dataclass
class Whole:
    """All valid images of a split: ``codes`` per image (192, blocks), float64 coefficients too."""

    rows: np.ndarray
    groups: np.ndarray
    codes: list[np.ndarray]
    coefficients: list[np.ndarray]
    labels: np.ndarray
    sizes: np.ndarray

    @property
    def all_codes(self) -> np.ndarray:
        """Shape (192, blocks of all images)."""
        return np.concatenate(self.codes, axis=1)

    @property
    def all_coefficients(self) -> np.ndarray:
        return np.concatenate(self.coefficients, axis=1)

    @property
    def activity(self) -> np.ndarray:
        """``log2(1 + mean squared coefficient)``, shape (images, 192)."""
        return np.stack([np.log2(1 + (c**2).mean(axis=1)) for c in self.coefficients])

    def part(self, groups) -> "Whole":
        keep = np.isin(self.groups, list(groups))
        picked = np.flatnonzero(keep)
        return Whole(
            self.rows[keep],
            self.groups[keep],
            [self.codes[i] for i in picked],
            [self.coefficients[i] for i in picked],
            self.labels[keep],
            self.sizes[keep],
        )


def whole(split: Split) -> Whole:
    rows = np.flatnonzero(split.valid)
    edges = np.arange(GROUPS + 1) * len(split) // GROUPS
    groups = np.repeat(np.arange(GROUPS), np.diff(edges))[rows]
    steps = split.steps.astype(np.float64)[:, None]
    codes = []
    for row in rows.tolist():
        height, width = grid_of(*(int(side) for side in split.sizes[row]))
        codes.append(split.read_codes([row])[0][:, :height, :width].reshape(192, -1).astype(int))
    return Whole(
        rows, groups, codes, [c * steps for c in codes], split.labels[rows], split.sizes[rows]
    )


def rgb_error(split: Split, chosen) -> float:
    """Mean squared error in RGB, not clipped, of images that have some channels only.

    Over all pixels of the blocks; by the inverse transform of every image.
    """
    lacking = np.ones(192, bool)
    lacking[list(chosen)] = False
    total, count = 0.0, 0
    for row in np.flatnonzero(split.valid).tolist():
        height, width = grid_of(*(int(side) for side in split.sizes[row]))
        missing = split.read([row])[0][:, :height, :width] * lacking[:, None, None]
        planes = [
            inverse(part).astype(np.float64) - 128 for part in missing.reshape(3, 64, height, width)
        ]
        y, cb, cr = planes
        red = y + 1.402 * cr
        green = y - 0.344136 * cb - 0.714136 * cr
        blue = y + 1.772 * cb
        total += sum(float((plane**2).sum()) for plane in (red, green, blue))
        count += 3 * y.size
    return total / count
