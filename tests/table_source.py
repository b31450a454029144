"""Parquet tables of synthetic images, and a stand-in for their source."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import synthetic

from freqprep import sources
from freqprep.convert import window_tasks
from freqprep.ragged import Ragged
from freqprep.sources.listing import UNKNOWN, Classes, Discovered, FileTable, Listing
from freqprep.sources.source_files import source_files
from freqprep.store import attribute_checks, plan, row_order
from freqprep.store.schema import ROWS_PER_SHARD

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def discover(root, split, options) -> Discovered:
    listings = {}
    found = source_files(root, (".parquet",))
    for name in sorted({file.path.split(b"-")[0].decode() for file in found}):
        keys, labels, paths, offsets, versions, runs = [], [], [], [], [], []
        for file in found:
            if not file.path.startswith(name.encode()):
                continue
            table = pq.ParquetFile(root / file.path.decode())
            label = table.read(["label"]).column(0).to_pylist()
            runs += [table.metadata.row_group(i).num_rows for i in range(table.num_row_groups)]
            keys += [b"%s-%d" % (file.path, row) for row in range(len(label))]
            labels += label
            paths += [file.path] * len(label)
            offsets += range(len(label))
            versions += [file.version] * len(label)
        if split not in (None, name):
            continue
        table = FileTable(
            Ragged.of_bytes(paths),
            np.array(offsets, np.int64),
            np.full(len(paths), UNKNOWN, np.int64),
            np.array(versions, np.int64),
        )
        listings[name] = Listing(
            name,
            name,
            Ragged.of_bytes(keys),
            np.array(labels, np.int64),
            table,
            image_column="image",
            runs=np.array(runs, np.int64),
        )
    return Discovered(Classes(("a", "b", "c"), ("a", "b", "c")), listings)


def register() -> None:
    sources.SOURCES.setdefault("parquet", discover)


def small_windows(shards: int = 2) -> None:
    """Let windows be of so few shards, in this process; its workers do not ask."""
    for module in (attribute_checks, plan, row_order):
        module.WINDOW_ROWS = shards * ROWS_PER_SHARD
    window_tasks.WINDOW_SHARDS = shards


register()
PROGRAM = (
    "import table_source; table_source.small_windows(); from freqprep_cli.main import main; main()"
)


def image_tables(
    root: Path, splits: dict[str, int], group: int = 100, tables: int = 1, corrupt: int = 0
) -> Path:
    """Write ``root/split-number.parquet``; the last images of each split are broken or null."""
    root.mkdir(exist_ok=True)
    for number, (split, count) in enumerate(splits.items()):
        images = [synthetic.picture(10_000 * number + index) for index in range(count - corrupt)]
        broken = [None if n % 3 == 2 else synthetic.broken(n) for n in range(corrupt)]
        cells = [{"bytes": data, "path": None} for data in [*images, *broken]]
        labels = np.arange(count) * 3 // count
        table = pa.table({"image": pa.array(cells, IMAGE), "label": labels})
        edges = np.linspace(0, count, tables + 1).astype(int)
        for part, (begin, end) in enumerate(itertools.pairwise(edges)):
            path = root / f"{split}-{part:05}-of-{tables:05}.parquet"
            pq.write_table(table.slice(begin, end - begin), path, row_group_size=group)
    return root
