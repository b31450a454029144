"""Tables that have changed since a store was made from them: repaired, or not the same any more."""

import shutil
from pathlib import Path

import image_tables
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from image_tables import rewrite_images

import freqprep
from freqprep.convert.verify_source import compare_with_source
from freqprep.errors import SourceChangedError, SourceError
from freqprep.sources import parquet_parts
from freqprep.sources.parquet_rows import ImageCopier

TABLES, ROWS, GROUP = 3, 128, 64
IMAGES = TABLES * ROWS


@pytest.fixture(autouse=True)
def windows(monkeypatch):
    """Windows of one shard: two row groups."""
    image_tables.small_windows(monkeypatch.setattr, shards=1)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    return image_tables.image_tables(folder, {"train": IMAGES}, GROUP, TABLES, corrupt=1)


@pytest.fixture(scope="module")
def expected(tables, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        image_tables.small_windows(patch.setattr, shards=1)
        return make(tables, tmp_path_factory.mktemp("whole") / "out.zarr")


@pytest.fixture
def copy(tables, tmp_path) -> Path:
    return Path(shutil.copytree(tables, tmp_path / "tables"))


def make(tables: Path, store: Path, **options) -> Path:
    return synthetic.make(tables, store, kind="parquet", **options)


def test_a_repaired_table_is_retried_and_each_is_read_once(expected, copy, tmp_path, monkeypatch):
    *_, last = sorted(copy.iterdir())
    rewrite_images(last, lambda cells: [*cells[:-1], {"bytes": synthetic.picture(5), "path": None}])
    store = Path(shutil.copytree(expected, tmp_path / "out.zarr"))
    asked: list[int] = []
    copy_rows = ImageCopier.copy

    def counting(self, files, *more):
        asked.append(len(files))
        return copy_rows(self, files, *more)

    with monkeypatch.context() as patch:
        patch.setattr(ImageCopier, "copy", counting)
        make(copy, store, retry_rejected=True)
    assert sum(asked) == (IMAGES - 1) + ROWS  # to be compared, and converted again
    assert synthetic.digest(store) == synthetic.digest(make(copy, tmp_path / "fresh.zarr"))


def test_other_labels_are_found_by_verify_and_refused_by_a_retry(expected, copy):
    for path in copy.iterdir():
        table = pq.read_table(path)
        labels = pa.array((np.array(table["label"]) + 1) % 3)
        pq.write_table(
            table.set_column(1, "label", labels).cast(table.schema), path, row_group_size=GROUP
        )
    what = rf"labels of {IMAGES} rows .* first of row 0 .*: (\w+), now (?!\1)"
    _, (problem,) = compare_with_source(expected, copy, 1)
    assert problem.where == "train"
    with pytest.raises(SourceChangedError, match=what):
        make(copy, expected, retry_rejected=True)
    done = synthetic.freqprep("verify", expected, "--source", copy)
    assert done.returncode == 4 and f"labels of {IMAGES} rows" in done.stdout


def test_a_retry_refuses_another_image_in_a_shard_that_is_kept(expected, copy):
    first, *_ = sorted(copy.iterdir())
    other = {"bytes": synthetic.picture(4321), "path": None}
    rewrite_images(first, lambda cells: [*cells[:7], other, *cells[8:]])
    with pytest.raises(SourceChangedError, match=f"{first.name}.*another length"):
        make(copy, expected, retry_rejected=True)


def test_the_same_rows_in_other_row_groups_are_called_that(expected, copy):
    for path in copy.iterdir():
        pq.write_table(pq.read_table(path), path, row_group_size=GROUP // 2)
    what = "the same images in other row groups"
    with pytest.raises(SourceError, match=what):
        compare_with_source(expected, copy, 1)
    with pytest.raises(SourceChangedError, match=what):
        make(copy, expected, retry_rejected=True)


def test_a_damaged_table_is_repaired_and_resumed(expected, copy, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_parts, "_SHORT", 0)  # not to be found damaged when it is listed
    listed = freqprep.open_store(expected)["train"].array("listing_index")
    assert 0 not in listed[:ROWS] // ROWS and ROWS - 1 in listed[ROWS : 2 * ROWS]
    damaged, store = min(copy.iterdir()), tmp_path / "out.zarr"  # from the second window on
    column = pq.read_metadata(damaged).row_group(1).column(0)
    middle = column.data_page_offset - 100
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: middle - 1000] + bytes(1000) + whole[middle:])
    for options in ({}, {"resume": True}):
        with pytest.raises(SourceError, match=f"{damaged.name} cannot be read.*download it again"):
            make(copy, store, **options)
    assert (store / ".partial-train/journal.jsonl").stat().st_size
    damaged.write_bytes(whole)
    make(copy, store, resume=True)
    assert synthetic.digest(store) == synthetic.digest(expected)


def test_a_lost_log_is_named_for_every_kind_with_options(tables, tmp_path):
    named = tmp_path / "t.parquet"
    table = pq.read_table(min(tables.iterdir())).rename_columns(["picture", "kind"])
    pq.write_table(table.append_column("other", table["picture"]), named)
    store = make(named, tmp_path / "s.zarr", image_column="picture", label_column="kind")
    assert compare_with_source(store, named, 1) == (1, [])
    (tmp_path / "s.zarr.log").unlink()
    with pytest.raises(SourceError, match=r"--image-column .* --class-names .*s\.zarr\.log"):
        compare_with_source(store, named, 1)
