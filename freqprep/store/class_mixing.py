"""How well the classes of a split are mixed: in its shards, or in batches, against a random order.

An order that keeps classes together gives groups of few classes. In a random one the number of
classes in a group follows from their sizes alone, by the hypergeometric distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freqprep.store.plan import evenly_spread
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.split import Split

MOST_GROUPS = 1024
"""Largest number of shards or batches that are counted."""


@dataclass(frozen=True)
class ClassMixing:
    """Numbers of classes in groups of rows, shards or batches.

    Attributes
    ----------
    groups : int
        Number of groups counted, evenly spread.
    rows : int
        Rows of the largest one.
    classes : float
        Mean number of different classes in a group.
    random_classes : float
        The same, if rows were in random order.
    """

    groups: int
    rows: int
    classes: float
    random_classes: float


def expected_classes(counts: np.ndarray, rows: int) -> float:
    """Return the expected number of different classes in a random sample.

    Parameters
    ----------
    counts : ndarray of int64, shape (classes,)
        Number of rows of each class.
    rows : int
        Rows of the sample, drawn without replacement.

    Returns
    -------
    float
    """
    sizes, times = np.unique(counts[counts > 0], return_counts=True)
    total = int(counts.sum())
    absent = np.ones(len(sizes))
    for drawn in range(rows):
        absent *= np.maximum(total - sizes - drawn, 0) / (total - drawn)
    return float(((1 - absent) * times).sum())


def class_mixing(labels: np.ndarray, groups: Sequence[np.ndarray]) -> ClassMixing | None:
    """Count the classes in groups of rows.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Label of each row of the split; -1 for rows that do not count.
    groups : sequence of ndarray of int64
        Rows of each group.

    Returns
    -------
    ClassMixing or None
        None if no row of the groups has a label.
    """
    found = [labels[rows] for rows in groups]
    found = [group[group >= 0] for group in found]
    found = [group for group in found if len(group)]
    if not found:
        return None
    counts = np.bincount(labels[labels >= 0])
    lengths, times = np.unique([len(group) for group in found], return_counts=True)
    expected = [expected_classes(counts, length) for length in lengths.tolist()]
    return ClassMixing(
        groups=len(found),
        rows=int(lengths[-1]),
        classes=float(np.mean([len(np.unique(group)) for group in found])),
        random_classes=float(np.average(expected, weights=times)),
    )


def labels_that_count(split: Split) -> np.ndarray:
    """Return the labels of a split's rows, -1 for rejected ones."""
    return np.where(split.valid, split.labels, -1)


def mixing_of_shards(split: Split) -> ClassMixing | None:
    """Count the classes in a split's shards; None without labels."""
    labels = labels_that_count(split)
    first = evenly_spread(split.shards, MOST_GROUPS) * ROWS_PER_SHARD
    rows = [np.arange(begin, min(begin + ROWS_PER_SHARD, len(labels))) for begin in first.tolist()]
    return class_mixing(labels, rows)
