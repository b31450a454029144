"""Quality of the shuffle: how often two images of a batch meet again in the next epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import ShufflePlan, choose_plan, sequence
from tests.benchmarks.table import show

_IMAGENET = 1_281_167
_SHARD_BYTES = ROWS_PER_SHARD * 64 * 64 * 64  # 64 channels at --size 512
_BATCH = 256
_EPOCHS = 4


def run(data: Path, folder: Path) -> dict[str, object]:
    valid = np.ones(_IMAGENET, bool)
    shards = -(-_IMAGENET // ROWS_PER_SHARD)
    rows = []
    for window_bytes in (2**29, 2**30, 2**31, 2**32):
        plan = choose_plan(shards, _SHARD_BYTES, window_bytes)
        reach = reads(Order(valid, plan, _BATCH).batches(0)).reach
        rows.append(
            (
                f"{window_bytes / 2**30:g} GiB",
                plan.lanes,
                plan.window,
                plan.lanes * plan.window,
                meetings(valid, plan),
                reach * _BATCH * 64**3 / 2**30,
            )
        )
    show(
        (
            "window_bytes",
            "lanes",
            "shards mixed by each",
            "in all",
            "meet again, x chance",
            "GiB that takes",
        ),
        rows,
    )
    return {"rows": rows}


def meetings(valid: np.ndarray, plan: ShufflePlan) -> float:
    """How often two rows of a batch share a batch of the next epoch, relative to chance."""
    again = pairs = 0
    before = None
    for epoch in range(_EPOCHS):
        rows, mixed = sequence(valid, plan, 0, epoch)
        steps = mixed // _BATCH
        batch = np.full(len(valid), -1)
        batch[rows[: steps * _BATCH]] = np.repeat(np.arange(steps), _BATCH)
        if before is not None:
            both = (before >= 0) & (batch >= 0)
            together = np.unique(before[both] * steps + batch[both], return_counts=True)[1]
            again += int((together * (together - 1)).sum())
            held = np.bincount(before[both])
            pairs += int((held * (held - 1)).sum())
        before = batch
    return again / pairs * len(valid) / _BATCH
