"""Row groups whose rows go to several files are read once; images that repeat, one at a time."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_tables import IMAGE
from test_parquet_rows import table_rows

from freqprep.errors import SourceError
from freqprep.ragged import Ragged
from freqprep.sources import discover, parquet_groups, parquet_rows
from freqprep.sources.file_table import NO_BYTES, UNKNOWN, FileTable
from freqprep.sources.options import SourceOptions
from freqprep.sources.parquet_file import TableFile
from freqprep.sources.parquet_rows import ImageCopier
from freqprep.sources.source_files import source_files
from freqprep.storage.paths import AnyPath, as_path
from freqprep.store import row_order

ROWS, WINDOW = 300, 64
IMAGES = [None if i % 50 == 7 else b"%d " % i * 20 for i in range(ROWS)]


class Open:
    """Row groups that were begun, and files that are open."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.begun, self.files = Counter[int](), set[int]()
        batches, init, close = TableFile.batches, TableFile.__init__, TableFile.close

        def beginning(table, columns, rows, groups=None):
            self.begun.update(groups or [])
            return batches(table, columns, rows, groups)

        def opening(table, *arguments):
            init(table, *arguments)
            self.files.add(id(table))

        def closing(table):
            close(table)
            self.files.discard(id(table))

        patch.setattr(TableFile, "batches", beginning)
        patch.setattr(TableFile, "__init__", opening)
        patch.setattr(TableFile, "close", closing)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setattr(row_order, "WINDOW_ROWS", WINDOW)
    return Open(monkeypatch)


def windows_of(root: Path, group: int) -> list[np.ndarray]:
    """Write a table, and return the rows of windows."""
    table = pa.table({"image": pa.array([{"bytes": data} for data in IMAGES], IMAGE)})
    pq.write_table(table, root / "t.parquet", row_group_size=group)
    runs = np.diff([*range(0, ROWS, group), ROWS])
    return np.split(row_order.PermutedRuns(runs, 3).take(range(ROWS)), range(WINDOW, ROWS, WINDOW))


def files_of(root: AnyPath, rows: np.ndarray) -> FileTable:
    (file,) = source_files(root, (".parquet",))
    count = len(rows)
    paths, version = Ragged.of_bytes([file.path] * count), np.full(count, file.version)
    return FileTable(paths, rows.astype(np.int64), np.full(count, UNKNOWN), version)


def copy_all(copier: ImageCopier, root: AnyPath, windows: list[np.ndarray]) -> list[list]:
    files = [files_of(root, rows) for rows in windows]
    found = []
    for mine, following in zip(files, [*files[1:], None], strict=True):
        out = io.BytesIO()
        copied = copier.copy(mine, out, following)
        data = out.getvalue()
        ends = zip(copied.offset.tolist(), copied.length.tolist(), strict=True)
        found.append([None if n == NO_BYTES else data[start : start + n] for start, n in ends])
    return found


@pytest.mark.parametrize("group", [7, 50, 64, 100, 300])
def test_a_row_group_is_read_once_whatever_its_size(tmp_path: Path, opened: Open, group: int):
    windows = windows_of(tmp_path, group)
    with ImageCopier(tmp_path, "image") as copier:
        found = copy_all(copier, tmp_path, windows)
        assert not opened.files
    assert found == [[IMAGES[row] for row in rows] for rows in windows]
    assert opened.begun == Counter(range(-(-ROWS // group)))


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [0, 2, 4, 1], [1, 1, 0, 4]])
def test_windows_come_in_any_order(tmp_path: Path, opened: Open, order: list[int]):
    windows = windows_of(tmp_path, 150)
    windows = [windows[number] for number in order]
    with ImageCopier(tmp_path, "image") as copier:
        found = copy_all(copier, tmp_path, windows)
    assert found == [[IMAGES[row] for row in rows] for rows in windows]
    assert not opened.files


def test_a_group_goes_on_where_rows_are_left_out(tmp_path: Path, opened: Open):
    """As by ``--resume``, when shards of a window are finished."""
    windows = [rows[: len(rows) // 2] for rows in windows_of(tmp_path, ROWS)]
    with ImageCopier(tmp_path, "image") as copier:
        found = copy_all(copier, tmp_path, windows)
    assert found == [[IMAGES[row] for row in rows] for rows in windows]
    assert opened.begun == Counter([0])


def test_nothing_stays_open_after_an_error_or_the_end(tmp_path: Path, opened: Open):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    first, second, *_ = (files_of(tmp_path, rows) for rows in windows_of(tmp_path, ROWS))
    copier = ImageCopier(tmp_path, "image")
    copier.copy(first, io.BytesIO(), second)
    assert len(opened.files) == 1
    with pytest.raises(OSError, match="No space"):
        copier.copy(second, Full(), second)
    assert not opened.files
    copier.copy(first, io.BytesIO(), second)
    copier.close()
    assert not opened.files


def test_a_closed_copier_closes_what_it_is_at(tmp_path: Path, opened: Open):
    """It is closed while another thread copies, whose group would stay open."""
    first, second, *_ = (files_of(tmp_path, rows) for rows in windows_of(tmp_path, ROWS))
    copier = ImageCopier(tmp_path, "image")

    class Closing(io.BytesIO):
        def write(self, data):
            copier.close()
            return super().write(data)

    copier.copy(first, Closing(), second)
    assert not opened.files


def test_groups_behind_a_url_go_on_in_little_memory(
    tmp_path: Path, opened: Open, slow_server, monkeypatch: pytest.MonkeyPatch
):
    windows = windows_of(tmp_path, 50)
    source = as_path(slow_server.load(tmp_path, "groups"))
    for most in (1, 20_000):
        opened.begun.clear()
        monkeypatch.setattr(parquet_rows, "_MOST_MEMORY", most)
        with ImageCopier(source, "image") as copier:
            found = copy_all(copier, source, windows)
        assert found == [[IMAGES[row] for row in rows] for rows in windows]
        assert opened.begun == Counter(range(6))
    assert not opened.files


class Sink(io.RawIOBase):
    """A file of which nothing is kept but the first and last byte of each image."""

    def __init__(self) -> None:
        self.seen = Counter[tuple[int, int, int]]()

    def tell(self) -> int:
        return 0

    def write(self, data) -> int:
        self.seen[len(data), data[0], data[-1]] += 1
        return len(data)


def repeated(kind: str, count: int) -> tuple[pa.Array, int]:
    """Return a column of one image and nulls, which decoded have more bytes than an array may."""
    image = b"a" + bytes(2**31 // count) + b"z"
    rows = pa.array([None if i % 100 == 3 else 0 for i in range(count)], pa.int32())
    column = pa.DictionaryArray.from_arrays(rows, pa.array([image]))
    if kind.startswith("struct"):
        column = pa.StructArray.from_arrays([column], ["bytes"])
    return column, len(image)


@pytest.mark.parametrize("kind", ["dictionary", "struct of dictionary", "bytes", "struct of bytes"])
def test_memory_does_not_grow_with_images_that_repeat(tmp_path: Path, kind: str):
    count = 1100
    column, length = repeated(kind, count)
    path = tmp_path / "t.parquet"
    # Without the schema of Arrow the column is one of bytes; its pages are the same.
    table = pa.table({"image": column, "label": [0] * count})
    pq.write_table(table, path, store_schema="dictionary" in kind)
    assert path.stat().st_size < 2**20
    files = table_rows(tmp_path, [("t.parquet", row) for row in range(count)])
    before, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(counted)
    try:
        assert set(discover("parquet", path, None, SourceOptions()).listings) == {"train"}
        sink = Sink()
        with ImageCopier(tmp_path, "image") as copier:
            copied = copier.copy(files, sink)
    finally:
        pa.set_memory_pool(before)
    assert sink.seen == Counter({(length, ord("a"), ord("z")): count - count // 100})
    assert np.flatnonzero(copied.length == NO_BYTES).tolist() == list(range(3, count, 100))
    assert counted.max_memory() < 16 * length


def test_an_index_beyond_the_dictionary_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pq.write_table(
        pa.table({"image": pa.array([b"one"]).dictionary_encode()}), tmp_path / "t.parquet"
    )
    damaged = pa.DictionaryArray.from_arrays(pa.array([5], pa.int32()), [b"one"], safe=False)
    monkeypatch.setattr(parquet_groups, "flat_images", lambda _: damaged)
    with (
        ImageCopier(tmp_path, "image") as copier,
        pytest.raises(SourceError, match="image 5 of a dictionary of 1"),
    ):
        copier.copy(table_rows(tmp_path, [("t.parquet", 0)]), io.BytesIO())
