"""Tables: the same store however it is made, and each row group read once."""

import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import image_tables
import numpy as np
import pyarrow.parquet as pq
import pytest
import synthetic
from bucket_store import KEY
from image_tables import rewrite_images
from interruptions import stopped_after, under_way, wait_for_changes

import freqprep
from freqprep.convert import shard_runs, unpacking, window_tasks
from freqprep.convert.estimate import estimate
from freqprep.convert.parts import Part, convert_part, finalize, plan
from freqprep.convert.request import Request
from freqprep.convert.source_sample import source_sample
from freqprep.convert.verify_source import compare_with_source
from freqprep.engines import Workers
from freqprep.errors import DiskFullError, SourceChangedError, SourceError
from freqprep.importance.rate_distortion import sampled_shards
from freqprep.sources import parquet_file
from freqprep.storage.paths import as_path
from freqprep.store.verify import verify

IMAGES, SHARDS, GROUP, TABLES, CORRUPT = 390, 4, 50, 2, 6
FOOTER = 2**16  # bytes at the end of a file that are read with its footer


@pytest.fixture(autouse=True)
def windows(monkeypatch):
    """Windows of two shards."""
    image_tables.small_windows(monkeypatch.setattr)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    return image_tables.image_tables(folder, {"train": IMAGES}, GROUP, TABLES, CORRUPT)


@pytest.fixture(scope="module")
def expected(tables, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        image_tables.small_windows(patch.setattr)
        return synthetic.make(tables, tmp_path_factory.mktemp("whole") / "out.zarr", kind="parquet")


def request_of(tables: Path, store: Path, **options) -> Request:
    return Request("parquet", tables, store, size=32, jobs=1, **options)


def test_rows_have_the_images_of_the_table(tables, expected):
    split = freqprep.open_store(expected)["train"]
    assert split.attributes.format_version == "1.2"
    column = [
        cell["bytes"] if cell else None
        for path in sorted(tables.iterdir())
        for cell in pq.read_table(path)["image"].to_pylist()
    ]
    lengths = [len(column[i]) if column[i] else 0 for i in split.array("listing_index").tolist()]
    assert split.array("source_bytes").tolist() == lengths
    assert int((~split.valid).sum()) == CORRUPT
    defects = {split.defect(row) for row in np.flatnonzero(~split.valid)}
    assert "missing: null in the table" in defects and "empty: 0 bytes" in defects
    assert verify(expected, Workers(1)).problems == ()
    assert compare_with_source(expected, tables, IMAGES) == (IMAGES, [])


@pytest.mark.parametrize("workers", [1, 3])
def test_groups_of_any_size_give_the_same_bytes(tables, expected, tmp_path, monkeypatch, workers):
    """As a cluster's workers make them."""

    def run(function, groups, *_):
        yield from map(function, groups(workers))

    monkeypatch.setattr(window_tasks.engines, "run", run)
    store = synthetic.make(tables, tmp_path / "out.zarr", kind="parquet", engine="dask")
    assert synthetic.digest(store) == synthetic.digest(expected)


def test_two_local_workers_give_the_same_bytes(tables, expected, tmp_path):
    store = synthetic.make(tables, tmp_path / "out.zarr", kind="parquet", jobs=2)
    assert synthetic.digest(store) == synthetic.digest(expected)
    assert not list(store.glob(".*"))


class Counted:
    """A file that counts the bytes that are read of it."""

    read_bytes = 0

    def __init__(self, file) -> None:
        self._file = file

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def read(self, *size: int) -> bytes:
        data = self._file.read(*size)
        Counted.read_bytes += len(data)
        return data

    def readinto(self, buffer) -> int:
        count = self._file.readinto(buffer)
        Counted.read_bytes += count
        return count


def test_tables_are_read_once_and_at_most_three_windows_are_unpacked(tables, tmp_path, monkeypatch):
    opened = parquet_file.open_source
    monkeypatch.setattr(parquet_file, "open_source", lambda path: Counted(opened(path)))
    most, done = [0], window_tasks._Windows.done

    def counting(self, shard: int) -> None:
        most.append(len(list(self._folder.glob("window-*"))))
        done(self, shard)

    monkeypatch.setattr(window_tasks._Windows, "done", counting)
    monkeypatch.setattr(window_tasks, "WINDOW_SHARDS", 128)  # all rows are one window
    request = request_of(tables, tmp_path / "one.zarr")
    plan(request)
    Counted.read_bytes = 0
    convert_part(request, Part(1, 1))
    size = sum(path.stat().st_size for path in tables.iterdir())
    assert size * 0.9 < Counted.read_bytes < size * 1.2 + TABLES * FOOTER
    monkeypatch.setattr(window_tasks, "WINDOW_SHARDS", 1)
    synthetic.make(tables, tmp_path / "several.zarr", kind="parquet")
    assert 1 <= max(most) <= 3


def test_a_row_group_that_is_longer_than_a_window_is_read_once(tmp_path, monkeypatch):
    table = image_tables.image_tables(tmp_path, {"train": IMAGES}, IMAGES)
    (path,) = table.glob("*.parquet")
    request = request_of(path, tmp_path / "out.zarr")
    plan(request)
    opened = parquet_file.open_source
    with monkeypatch.context() as patch:
        patch.setattr(parquet_file, "open_source", lambda path: Counted(opened(path)))
        Counted.read_bytes = 0
        convert_part(request, Part(1, 1))
    size = path.stat().st_size
    assert size * 0.9 < Counted.read_bytes < size * 1.1 + FOOTER
    finalize(request)
    assert compare_with_source(request.store, path, IMAGES) == (IMAGES, [])


def test_only_what_is_missing_is_unpacked_again(tables, expected, tmp_path, monkeypatch):
    store, asked = tmp_path / "out.zarr", Counter()
    with stopped_after(monkeypatch, window_tasks, "convert_shard", 3):
        synthetic.make(tables, store, kind="parquet")
    assert not list((store / ".partial-train").glob("tmp-*"))
    copy = unpacking.ImageCopier.copy

    def counting(self, files, *others):
        asked["rows"] += len(files)
        return copy(self, files, *others)

    monkeypatch.setattr(unpacking.ImageCopier, "copy", counting)
    synthetic.make(tables, store, kind="parquet", resume=True)
    assert asked["rows"] == IMAGES - 3 * 128
    assert synthetic.digest(store) == synthetic.digest(expected)


def test_parts_have_whole_windows_and_give_the_same_bytes(tables, expected, tmp_path):
    request = request_of(tables, tmp_path / "out.zarr")
    assert plan(request) == {"train": SHARDS}
    made = [convert_part(request, Part(number, 2))["train"] for number in (2, 1)]
    assert made == [2, 2]
    finalize(request)
    assert synthetic.digest(request.store) == synthetic.digest(expected)


def test_killed_at_random_moments(tables, expected, tmp_path, monkeypatch):
    places = (Path(image_tables.__file__).parent, *os.environ.get("PYTHONPATH", "").split(":"))
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, places)))
    dice, store, options = random.Random(1), tmp_path / "out.zarr", []
    for jobs in (1, 2):
        words = ["convert", "parquet", tables, store, "--size", "32", "--jobs", str(jobs)]
        with under_way(*words, *options, program=image_tables.PROGRAM) as process:
            if wait_for_changes(process, store / ".partial-train", dice.randrange(5, 40)):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if (store / "train").is_dir():
            break
        options = ["--resume"]
    synthetic.make(tables, store, kind="parquet", resume=True)
    assert synthetic.digest(store) == synthetic.digest(expected)
    assert not list(store.glob(".*"))


def test_another_image_is_found_by_verify_and_by_stats(tables, expected, tmp_path):
    split = freqprep.open_store(expected)["train"]
    shard, listed = sampled_shards(split)[0], split.array("listing_index")
    row = shard * 128 + int(listed[shard * 128 :][:128].argmin())
    image = int(listed[row])  # of the first table
    copy = Path(shutil.copytree(tables, tmp_path / "tables"))
    first, *_ = sorted(copy.iterdir())
    rewrite_images(first, lambda cells: [*cells[:image], cells[image + 1], *cells[image + 1 :]])
    compared, (problem,) = compare_with_source(expected, copy, IMAGES)
    assert compared == IMAGES and f"row {row} " in problem.where
    sample = source_sample(split, copy, expected)
    with pytest.raises(SourceChangedError, match="another length in bytes"):
        sample(shard)
    whole = source_sample(split, tables, expected)
    assert whole(shard).any()


def test_an_estimate_knows_the_bytes_of_its_sample(tables, expected, tmp_path):
    found = estimate(request_of(tables, tmp_path / "out.zarr"))["train"]
    stored = freqprep.open_store(expected)["train"].array("source_bytes").sum()
    assert found.sampled <= 128
    assert 0.8 * stored < found.source_bytes < 1.2 * stored


def test_a_table_that_changes_meanwhile_is_named(tables, tmp_path):
    copy = Path(shutil.copytree(tables, tmp_path / "tables"))
    request = request_of(copy, tmp_path / "out.zarr")
    plan(request)
    first, *_ = sorted(copy.iterdir())
    os.utime(first, ns=(0, 0))
    with pytest.raises(SourceChangedError, match="last changed"):
        convert_part(request, Part(1, 1))
    first.unlink()
    with pytest.raises(SourceError, match="is gone"):
        convert_part(request, Part(1, 1))


def test_no_room_for_a_window_is_named_and_resumable(tables, expected, tmp_path, monkeypatch):
    store = tmp_path / "out.zarr"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(unpacking._Watched, "write", full)
        with pytest.raises(DiskFullError, match=r"MB free.*--resume"):
            synthetic.make(tables, store, kind="parquet")
    with monkeypatch.context() as patch:
        patch.setattr(window_tasks, "free_bytes", lambda _: 1000)
        with pytest.raises(DiskFullError, match="256 rows of tables are unpacked together"):
            synthetic.make(tables, store, kind="parquet", resume=True)
    assert not list((store / ".partial-train").glob("tmp-*"))
    synthetic.make(tables, store, kind="parquet", resume=True)
    assert synthetic.digest(store) == synthetic.digest(expected)


@pytest.mark.parametrize(
    ("workers", "together"),
    [(1, 128), (16, 128), (19, 128), (20, 64), (64, 32), (1000, 8), (20_000, 1)],
)
def test_work_is_whole_windows_where_there_are_enough(monkeypatch, workers, together):
    monkeypatch.setattr(window_tasks, "WINDOW_SHARDS", 128)
    tables = SimpleNamespace(shards=10_009, listing=SimpleNamespace(image_column="image"))
    assert window_tasks.shards_together(tables, workers) == together
    files = SimpleNamespace(shards=10_009, listing=SimpleNamespace(image_column=None))
    assert window_tasks.shards_together(files, workers) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_while_a_window_is_unpacked(tables, expected, tmp_path, monkeypatch, jobs):
    """Whatever waits for the window then, nothing is left, and the rest is made by resume."""
    store = tmp_path / "out.zarr"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shard_runs.Progress, "update", interrupted)  # in the main thread
        with pytest.raises(KeyboardInterrupt):
            synthetic.make(tables, store, kind="parquet", jobs=jobs)
    assert not list((store / ".partial-train").glob("tmp-*"))
    synthetic.make(tables, store, kind="parquet", resume=True)
    assert synthetic.digest(store) == synthetic.digest(expected)


def test_tables_in_a_bucket_and_a_store_in_a_bucket(tables, expected, place, bucket):
    source = as_path(bucket.upload(tables, "tables"))
    synthetic.make(source, place, kind="parquet")
    assert bucket.contents(KEY) == synthetic.contents(expected)
    assert compare_with_source(place, source, 20) == (20, [])
