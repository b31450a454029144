"""Sums over the images of a split, as integers: merging them in any order is exact."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from freqprep.importance.shard_counts import GROUPS, ShardCounts
from freqprep.importance.visibility import SCALES, scale_of
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS

ACTIVITY_UNIT = 2.0**-12
"""Unit of activities, which are rounded to it."""

LEVELS = 16
"""Number of levels of activity, half an octave of energy each."""

_LEVEL_OF_MEAN = 10


def codes_of(histogram: np.ndarray) -> np.ndarray:
    """Return the code of each bin of a histogram, int64."""
    largest = histogram.shape[-1] // 2
    return np.arange(-largest, largest)


@dataclass(frozen=True)
class Sums:
    """Sums of one pass over a split; ``G`` groups, channels in raster order.

    The activity of a channel in an image is ``log2(1 + mean squared coefficient)`` over the
    image's valid blocks, rounded to `ACTIVITY_UNIT`. Its level compares that mean square with the
    channel's mean over the split, in half octaves; level 10 begins at the mean.

    Attributes
    ----------
    images, blocks : ndarray of int64, shape (G,)
        Numbers of valid images, and of their blocks of one component.
    histogram : ndarray of int64, shape (G, 192, 2 * largest code)
        Number of occurrences of each code.
    cross : ndarray of int64, shape (G, 64, 3)
        Sums of products of codes at each frequency: Y Cb, Y Cr, Cb Cr.
    squares : ndarray of int64, shape (G, SCALES, 192)
        Sums of squared codes, by the image's scale (`visibility.scale_of`).
    activity : ndarray of int64, shape (G, 192)
        Sums of activities, in `ACTIVITY_UNIT`.
    activity_products : ndarray of int64, shape (G, 192, 192)
        Sums of products of the activities of two channels.
    class_images : ndarray of int64, shape (G, K)
        Number of images of each class.
    class_activity : ndarray of int64, shape (G, K, 192)
        Sums of activities over a class.
    class_squares : ndarray of int64, shape (G, 192)
        Sums of squared activities of the images that have a class.
    class_levels : ndarray of int32, shape (G, K, 192, LEVELS)
        Number of images of each class with each level of activity.
    object_histogram : ndarray of int64, shape (G, 192, 2 * largest code) or (G, 192, 0)
        ``histogram`` over the blocks that a box touches.
    """

    images: np.ndarray
    blocks: np.ndarray
    histogram: np.ndarray
    cross: np.ndarray
    squares: np.ndarray
    activity: np.ndarray
    activity_products: np.ndarray
    class_images: np.ndarray
    class_activity: np.ndarray
    class_squares: np.ndarray
    class_levels: np.ndarray
    object_histogram: np.ndarray

    @classmethod
    def zero(cls, largest_code: int, classes: int, objects: bool) -> Sums:
        """Make the sums of no images.

        Parameters
        ----------
        largest_code : int
            Bound of the absolute codes.
        classes : int
            Number of classes; 0 for images without labels.
        objects : bool
            Whether blocks that boxes touch are counted.

        Returns
        -------
        Sums
        """
        codes = 2 * largest_code

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros((GROUPS, *shape), np.int64)

        return cls(
            images=zeros(),
            blocks=zeros(),
            histogram=zeros(CHANNELS, codes),
            cross=zeros(FREQUENCIES, 3),
            squares=zeros(SCALES, CHANNELS),
            activity=zeros(CHANNELS),
            activity_products=zeros(CHANNELS, CHANNELS),
            class_images=zeros(classes),
            class_activity=zeros(classes, CHANNELS),
            class_squares=zeros(CHANNELS),
            class_levels=np.zeros((GROUPS, classes, CHANNELS, LEVELS), np.int32),
            object_histogram=zeros(CHANNELS, codes if objects else 0),
        )

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(a + b for a, b in zip(self._arrays(), other._arrays(), strict=True)))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(a - b for a, b in zip(self._arrays(), other._arrays(), strict=True)))

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the codes and of their squares, int64 (192,) both; complete when first read."""
        counts = self.histogram.sum(axis=0)
        codes = codes_of(counts)
        return counts @ codes, counts @ codes**2

    def without_unused_codes(self) -> Sums:
        """Cut the histograms to the largest code that occurs: of int16, most never do."""
        middle = self.histogram.shape[-1] // 2
        used = np.flatnonzero(self.histogram.any(axis=(0, 1)))
        largest = min(middle, int(np.abs(used - middle).max(initial=0)) + 1)
        kept = slice(middle - largest, middle + largest)
        objects = self.object_histogram
        return dataclasses.replace(
            self,
            histogram=self.histogram[..., kept],
            object_histogram=objects[..., kept] if objects.shape[-1] else objects,
        )

    def part(self, groups: Sequence[int]) -> Sums:
        """Add up some groups to one group."""
        chosen = list(groups)
        return Sums(*(array[chosen].sum(axis=0, keepdims=True) for array in self._arrays()))

    def total(self) -> Sums:
        """Add up all groups to one group."""
        return self.part(range(len(self.images)))

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def add_shards(self, counts: ShardCounts, rows: ShardRows) -> None:
        """Add the counts of some shards in place."""
        activity, level = activity_of(counts.squares, rows)
        for number, (group, run) in enumerate(rows.parts):
            self.histogram[group] += counts.histogram[number]
            if counts.object_histogram is not None:
                self.object_histogram[group] += counts.object_histogram[number]
            take = run.start + np.flatnonzero(rows.valid[run])
            self.images[group] += len(take)
            self.blocks[group] += rows.blocks[take].sum()
            self.cross[group] += counts.cross[number]
            squares, scales = counts.squares[take], scale_of(rows.short_side[take])
            for scale in np.unique(scales):  # few; `np.add.at` takes several times as long
                self.squares[group, scale] += squares[scales == scale].sum(axis=0)
            values = activity[take]
            self.activity[group] += values.sum(axis=0)
            # Products are below 2**36: float64 holds the sums of 1,000 shards exactly.
            products = values.T.astype(np.float64) @ values.astype(np.float64)
            self.activity_products[group] += products.astype(np.int64)
            if self.class_images.shape[1]:
                self._add_classes(group, rows.labels[take], values, level[take])

    def _add_classes(
        self, group: int, labels: np.ndarray, activity: np.ndarray, level: np.ndarray
    ) -> None:
        known = labels >= 0
        labels, activity, level = labels[known], activity[known], level[known]
        np.add.at(self.class_images[group], labels, 1)
        np.add.at(self.class_activity[group], labels, activity)
        self.class_squares[group] += (activity**2).sum(axis=0)
        # Flat places, and a one of their type: with three indices NumPy takes 20 times as long.
        places = (labels[:, None] * CHANNELS + np.arange(CHANNELS)) * LEVELS + level
        np.add.at(self.class_levels[group].reshape(-1), places.ravel(), np.int32(1))


@dataclass(frozen=True)
class ShardRows:
    """Properties of a shard's rows besides their codes; ``n`` rows.

    Attributes
    ----------
    parts : list of (int, slice)
        Runs of one group each; see `shard_counts.parts_of`.
    valid : ndarray of bool, shape (n,)
    labels, blocks, short_side : ndarray of int64, shape (n,)
        Labels, number of blocks of one component, short side of the valid pixels.
    steps : ndarray of float64, shape (192,)
        Quantization steps, raster order; 0 for channels not stored.
    mean_square : ndarray of float64, shape (192,)
        Mean squared coefficient of each channel over the whole split.
    """

    parts: list[tuple[int, slice]]
    valid: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray
    short_side: np.ndarray
    steps: np.ndarray
    mean_square: np.ndarray


def activity_of(squares: np.ndarray, rows: ShardRows) -> tuple[np.ndarray, np.ndarray]:
    """Compute activity in `ACTIVITY_UNIT` and its level, int64 (n, 192) both; see `Sums`."""
    energy = squares * rows.steps**2 / np.maximum(rows.blocks, 1)[:, None]
    activity = np.rint(np.log2(1 + energy) / ACTIVITY_UNIT).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        halves = np.floor(2 * np.log2(energy / rows.mean_square))
    level = np.nan_to_num(halves, nan=0.0, neginf=-LEVELS, posinf=LEVELS) + _LEVEL_OF_MEAN
    return activity, np.clip(level, 0, LEVELS - 1).astype(np.int64)
