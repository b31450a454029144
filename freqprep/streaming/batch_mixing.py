"""How well the classes of a split are mixed in the batches of a loader, without reading codes."""

from __future__ import annotations

import numpy as np

from freqprep.spectrum.channels import published
from freqprep.store.class_mixing import ClassMixing, class_mixing, labels_that_count
from freqprep.store.plan import evenly_spread
from freqprep.store.split import Split
from freqprep.streaming.dealing import valid_rows_of_shards
from freqprep.streaming.memory import plan_of
from freqprep.streaming.shuffling import ShufflePlan, epoch_rows, mixed_rows

BATCH_ROWS = 256
"""Rows of a batch by default."""

_WINDOW_BYTES = 2**30
_CHANNELS = "square-24"
_MOST_BATCHES = 256


def mixing_of_batches(split: Split) -> ClassMixing | None:
    """Count the classes in batches of 256, as a loader with its defaults draws them.

    Parameters
    ----------
    split : Split

    Returns
    -------
    ClassMixing or None
        None without labels, or without a whole batch.
    """
    plan = plan_of(split, published(_CHANNELS), _WINDOW_BYTES, None, True)
    return batch_mixing(labels_that_count(split), split.valid, plan)


def batch_mixing(
    labels: np.ndarray, valid: np.ndarray, plan: ShufflePlan, batch_rows: int = BATCH_ROWS
) -> ClassMixing | None:
    """Count the classes in batches of the first epoch of seed 0.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        -1 for rows that do not count.
    valid : ndarray of bool, shape (n,)
    plan : ShufflePlan
    batch_rows : int

    Returns
    -------
    ClassMixing or None
        None without labels, or without a whole batch.
    """
    counts = valid_rows_of_shards(valid)
    batches = mixed_rows(counts, plan) // batch_rows if counts.any() else 0
    if not batches:
        return None
    rows = epoch_rows(valid, counts, plan, 0, 0)
    begins = (evenly_spread(batches, _MOST_BATCHES) * batch_rows).tolist()
    return class_mixing(labels, [rows.slots(begin, begin + batch_rows) for begin in begins])
