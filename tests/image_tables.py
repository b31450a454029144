"""Parquet tables of synthetic images, and windows of rows so small that these fill several."""

import itertools
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import synthetic
from parquet_tables import IMAGE, NAMES, class_label, noted, write

from freqprep.convert import window_tasks
from freqprep.store import attribute_checks, plan, row_order
from freqprep.store.schema import ROWS_PER_SHARD

PROGRAM = f"import image_tables; image_tables.small_windows(); {synthetic.MAIN}"
"""The command with small windows."""


def small_windows(put=setattr, shards: int = 2) -> None:
    """Let windows be of so few shards, in this process; its workers do not ask."""
    for module in (attribute_checks, plan, row_order):
        put(module, "WINDOW_ROWS", shards * ROWS_PER_SHARD)
    put(window_tasks, "WINDOW_SHARDS", shards)


def image_tables(
    root: Path, splits: dict[str, int], group: int = 100, tables: int = 1, corrupt: int = 0
) -> Path:
    """Write ``root/split-number.parquet``; the last images of each split are broken or null."""
    for number, (split, count) in enumerate(splits.items()):
        images = [synthetic.picture(10_000 * number + index) for index in range(count - corrupt)]
        broken = [None if n % 3 == 2 else synthetic.broken(n) for n in range(corrupt)]
        cells = [{"bytes": data, "path": None} for data in [*images, *broken]]
        labels = np.arange(count) * len(NAMES) // count
        table = pa.table({"image": pa.array(cells, IMAGE), "label": labels})
        table = noted(table, label=class_label(NAMES))
        edges = np.linspace(0, count, tables + 1).astype(int).tolist()
        for part, (begin, end) in enumerate(itertools.pairwise(edges)):
            path = root / f"{split}-{part:05}-of-{tables:05}.parquet"
            write(path, table.slice(begin, end - begin), row_group_size=group)
    return root


def rewrite_images(path: Path, change) -> None:
    """Change the cells of a table; its time and its row groups stay."""
    status, table = path.stat(), pq.read_table(path)
    group = pq.read_metadata(path).row_group(0).num_rows
    cells = pa.array(change(table["image"].to_pylist()), IMAGE)
    pq.write_table(table.set_column(0, "image", cells), path, row_group_size=group)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
