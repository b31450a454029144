"""Images of Parquet tables, copied to one file: the bytes, whatever rows are asked for."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_server import Fault

from freqprep.errors import SourceChangedError, SourceError
from freqprep.ragged import Ragged
from freqprep.sources import parquet_rows
from freqprep.sources.file_table import NO_BYTES, UNKNOWN, FileTable
from freqprep.sources.parquet_file import TableFile
from freqprep.sources.parquet_rows import copy_images
from freqprep.sources.source_files import source_files
from freqprep.storage.paths import AnyPath, as_path

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table_rows(root: Path, rows: list[tuple[str, int]]) -> FileTable:
    """Return the table that a listing would have of rows of some files."""
    version = [(root / name).stat().st_mtime_ns for name, _ in rows]
    return FileTable(
        Ragged.of_bytes([name.encode() for name, _ in rows]),
        np.array([row for _, row in rows], np.int64),
        np.full(len(rows), UNKNOWN, np.int64),
        np.array(version, np.int64),
    )


def copied(root: Path, rows: list[tuple[str, int]], column: str = "image") -> list[bytes | None]:
    """Copy rows behind something else in a file, and read each back."""
    return read_back(root, table_rows(root, rows), column)


def read_back(root: AnyPath, files: FileTable, column: str = "image") -> list[bytes | None]:
    out = io.BytesIO()
    out.write(b"before")
    found = copy_images(root, files, column, out)
    data = out.getvalue()
    assert data.startswith(b"before")
    kept = zip(found.offset.tolist(), found.length.tolist(), strict=True)
    return [None if n == NO_BYTES else data[start : start + n] for start, n in kept]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list]]:
    """Two tables with row groups of 7 and 100 rows, and what their images are."""
    root = tmp_path_factory.mktemp("tables")
    images: dict[str, list] = {}
    for name, count, group in [("a.parquet", 40, 7), ("b.parquet", 30, 100)]:
        cells = [{"bytes": b"%d " % i * i, "path": f"{i}"} for i in range(count)]
        cells[3] = None
        cells[5] = {"bytes": None, "path": "5"}
        table = pa.table({"label": range(count), "image": pa.array(cells, IMAGE)})
        pq.write_table(table, root / name, row_group_size=group)
        images[name] = [cell and cell["bytes"] for cell in cells]
    return root, images


@given(data=st.data())
def test_any_rows_in_any_order_are_those_of_the_tables(tables, data):
    root, images = tables
    every = [(name, row) for name, column in images.items() for row in range(len(column))]
    rows = data.draw(st.lists(st.sampled_from(every), max_size=50))
    assert copied(root, rows) == [images[name][row] for name, row in rows]


def test_each_row_group_is_read_once_and_no_other(tables, monkeypatch: pytest.MonkeyPatch):
    root, _ = tables
    read = []
    batches = TableFile.batches

    def noted(self, columns, rows, groups=None):
        read.append((os.path.basename(self.name), *groups))
        return batches(self, columns, rows, groups)

    monkeypatch.setattr(TableFile, "batches", noted)
    copied(root, [("a.parquet", row) for row in (30, 2, 0, 34, 29)] + [("b.parquet", 3)])
    assert read == [("a.parquet", 0), ("a.parquet", 4), ("b.parquet", 0)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
@pytest.mark.parametrize("nested", [False, True])
def test_images_may_be_bytes_of_any_type(tmp_path: Path, kind: pa.DataType, nested: bool):
    cells = [b"one", None, b"", b"three"]
    column = pa.array(cells, kind)
    if nested:
        column = pa.StructArray.from_arrays([column], ["bytes"])
    pq.write_table(pa.table({"picture": column}), tmp_path / "t.parquet")
    rows = [("t.parquet", row) for row in range(4)]
    assert copied(tmp_path, rows, "picture") == cells


def test_images_that_repeat_may_be_a_dictionary(tmp_path: Path):
    column = pa.array([b"one", b"two", None, b"one"]).dictionary_encode()
    pq.write_table(pa.table({"image": column}), tmp_path / "t.parquet")
    rows = [("t.parquet", row) for row in range(4)]
    assert copied(tmp_path, rows) == [b"one", b"two", None, b"one"]


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path):
    image = np.random.default_rng(0).bytes(2**16)
    table = pa.table({"image": [image] * 1000})
    pages = {"write_batch_size": 8, "use_dictionary": False, "compression": "none"}
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1000, **pages)
    files = table_rows(tmp_path, [("t.parquet", row) for row in range(999, -1, -1)])
    del table
    before, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        with open(tmp_path / "out", "wb") as out:
            found = copy_images(tmp_path, files, "image", out)
    finally:
        pa.set_memory_pool(before)
    assert (tmp_path / "out").stat().st_size == 1000 * 2**16
    assert set(found.length.tolist()) == {2**16}
    assert 0 < counted.max_memory() < 1000 * 2**16 / 4


def test_a_table_that_was_written_again_is_refused(tmp_path: Path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [b"one"]}), path)
    files = table_rows(tmp_path, [("t.parquet", 0)])
    os.utime(path, ns=(0, 0))
    with pytest.raises(SourceChangedError, match=r"t.parquet is not what it was"):
        copy_images(tmp_path, files, "image", io.BytesIO())
    path.unlink()
    with pytest.raises(SourceChangedError, match="is gone"):
        copy_images(tmp_path, files, "image", io.BytesIO())


def test_a_row_or_column_that_is_not_there_is_named(tmp_path: Path):
    pq.write_table(pa.table({"image": [b"one"]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="has 1 rows, but row 7 was listed"):
        copied(tmp_path, [("t.parquet", 7)])
    with pytest.raises(SourceError, match="has no column 'photo' of images"):
        copied(tmp_path, [("t.parquet", 0)], "photo")


def test_a_full_disk_is_not_a_damaged_table(tmp_path: Path):
    pq.write_table(pa.table({"image": [b"one"]}), tmp_path / "t.parquet")

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        copy_images(tmp_path, table_rows(tmp_path, [("t.parquet", 0)]), "image", Full())
    assert not isinstance(caught.value, SourceError)


def all_rows(source: AnyPath, images: dict[str, list]) -> FileTable:
    files = {file.path.decode(): file.version for file in source_files(source, (".parquet",))}
    rows = [(name, row) for name, column in images.items() for row in range(len(column))]
    return FileTable(
        Ragged.of_bytes([name.encode() for name, _ in rows]),
        np.array([row for _, row in rows]),
        np.full(len(rows), UNKNOWN),
        np.array([files[name] for name, _ in rows]),
    )


def test_tables_in_a_bucket_give_the_same_images(tables, bucket):
    root, images = tables
    source = as_path(bucket.upload(root, "tables"))
    listed = all_rows(source, images)
    bucket.requests.clear()
    assert read_back(source, listed) == [data for column in images.values() for data in column]
    # A look at each file and its footer, and one request for each row group.
    assert len(bucket.requests) <= 2 * 2 + 7
    bucket.put("tables/a.parquet", bucket.get("tables/b.parquet"))
    with pytest.raises(SourceChangedError, match=r"a.parquet is not what it was"):
        copy_images(source, listed, "image", io.BytesIO())
    bucket.delete("tables/a.parquet")
    with pytest.raises(SourceChangedError, match="is gone"):
        copy_images(source, listed, "image", io.BytesIO())


def test_row_groups_are_fetched_together_as_memory_allows(
    tables, slow_server, monkeypatch: pytest.MonkeyPatch
):
    root, images = tables
    source = as_path(slow_server.load(root, "row-groups"))
    listed = all_rows(source, images)
    expected = [data for column in images.values() for data in column]
    slow_server.behave(Fault("503", every=5, methods=("GET",)), delay=0.05)
    slow_server.counts()
    assert read_back(source, listed) == expected
    assert slow_server.counts().at_once >= 5
    monkeypatch.setattr(parquet_rows, "_MOST_MEMORY", 1)  # no two at a time
    footers = len(images)
    assert read_back(source, listed) == expected
    assert slow_server.counts().at_once <= footers
