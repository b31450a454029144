"""A plan: every row once, in an order that depends on the seed alone, and kept exactly."""

import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.errors import CorruptStoreError
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.ragged import Ragged
from freqprep.sources.file_table import UNKNOWN, FileTable, TableFiles
from freqprep.sources.listing import Listing, Objects
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store import plan as plan_module
from freqprep.store.plan import (
    SplitPlan,
    estimated_bytes,
    load_attributes,
    load_plan,
    make_plan,
    memory_bound,
    save_plan,
    shard_count,
)
from freqprep.store.row_order import WINDOW_ROWS, PermutedRuns
from freqprep.store.schema import ROWS_PER_SHARD, SplitAttributes

ENCODING = Encoding(Geometry("fit", 32, None, "apply"), PRECISIONS["int8"])


def listing(images: int, with_objects: bool, seed: int = 0) -> Listing:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 2**40, (4, images))
    keys = Ragged.of_bytes(b"\xff" * (i % 5) + str(i).encode() for i in range(images))
    paths = Ragged.of_bytes(b"path/%d" % i for i in range(images))
    objects = None
    if with_objects:
        counts = rng.integers(0, 3, images)
        total = int(counts.sum())
        objects = Objects(
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            box=rng.random((total, 4)),
            label=rng.integers(0, 2, total),
            area=rng.random(total),
            iscrowd=rng.random(total) < 0.5,
            annotation_id=np.arange(total),
            annotation=Ragged.of_bytes(b'{"id": %d}' % i for i in range(total)),
        )
    return Listing(
        name="train",
        source_name="train2017",
        keys=keys,
        labels=numbers[0] % 2,
        files=FileTable(paths, *numbers[1:]),
        image_ids=np.arange(images) * 7 if with_objects else None,
        stated_sizes=rng.integers(1, 99, (images, 2)).astype(np.int32) if with_objects else None,
        objects=objects,
        ignored={"symlink loop": 2},
    )


def planned(rows: Listing, seed: int = 0) -> SplitPlan:
    attributes = SplitAttributes(
        "train", "train2017", "coco", len(rows), 0, ENCODING, seed, ("a", "b"), ("a", "b"), {}
    )
    return make_plan(rows, attributes)


def flat(value: object) -> object:
    """Nested dataclasses and arrays as plain data, to compare."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: flat(getattr(value, field.name)) for field in fields}
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tolist()
    return value


cases = {"images": st.integers(1, 400), "with_objects": st.booleans(), "seed": st.integers(0, 99)}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(**cases)
def test_each_image_is_one_row_with_all_that_belongs_to_it(images, with_objects, seed):
    source = listing(images, with_objects, seed)
    plan = planned(source, seed)
    order = plan.order.take(range(images))
    assert sorted(order.tolist()) == list(range(images))
    rows = plan.listing.take(order)
    for row, index in enumerate(order.tolist()):
        assert rows.keys.bytes_at(row) == source.keys.bytes_at(index)
        assert rows.files.paths.bytes_at(row) == source.files.paths.bytes_at(index)
        for name in ("offset", "length", "version"):
            assert getattr(rows.files, name)[row] == getattr(source.files, name)[index]
        assert rows.labels[row] == source.labels[index]
        if with_objects:
            assert rows.image_ids[row] == source.image_ids[index]
            assert (rows.stated_sizes[row] == source.stated_sizes[index]).all()
            ours, theirs = rows.objects, source.objects
            mine = slice(*ours.offsets[row : row + 2])
            its = slice(*theirs.offsets[index : index + 2])
            for name in ("box", "label", "area", "iscrowd", "annotation_id"):
                assert np.array_equal(getattr(ours, name)[mine], getattr(theirs, name)[its])
            texts = [ours.annotation.bytes_at(i) for i in range(mine.start, mine.stop)]
            assert texts == [theirs.annotation.bytes_at(i) for i in range(its.start, its.stop)]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(**cases)
def test_blocks_are_all_rows(images, with_objects, seed):
    plan = planned(listing(images, with_objects, seed), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "_ROWS_AT_ONCE", 50)
        blocks = list(plan.blocks())
    assert [row for rows, _ in blocks for row in rows] == list(range(images))
    index = np.concatenate([index for _, index in blocks])
    assert np.array_equal(index, plan.order.take(range(images)))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(**cases)
def test_a_saved_plan_is_the_same_plan(images, with_objects, seed):
    plan = planned(listing(images, with_objects, seed), seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_plan(plan, folder)
        loaded = load_plan(folder)
        assert flat(loaded.listing) == flat(plan.listing)
        rows = range(images)
        assert np.array_equal(loaded.order.take(rows), plan.order.take(rows))
        assert load_attributes(folder) == plan.attributes


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(1, 30), max_size=4), min_size=1, max_size=5), st.data())
def test_rows_of_tables_are_planned_as_rows_that_are_listed_one_by_one(groups, data):
    """Files of row groups; some have none."""
    counts = [sum(of_file) for of_file in groups]
    images = max(sum(counts), 1)
    counts[0] += images - sum(counts)
    runs = np.array([run for of_file in groups for run in of_file] or [1], np.int64)
    names = Ragged.of_bytes(b"%d.parquet" % number for number in range(len(counts)))
    version = np.arange(len(counts)) * 10
    file = np.repeat(np.arange(len(counts)), counts)
    unknown = np.full(images, UNKNOWN)
    offset = np.concatenate([np.arange(count) for count in counts])
    each = FileTable(names.take(file), offset, unknown, version[file])
    tables = TableFiles(names, np.array(counts), version)
    assert len(tables) == images
    plans = [
        planned(dataclasses.replace(listing(images, False), files=files, runs=runs), 7)
        for files in (each, tables)
    ]
    rows = np.array(data.draw(st.lists(st.integers(0, images - 1), max_size=50)), np.int64)
    one, other = (plan.listing.take(plan.order.take(rows)) for plan in plans)
    assert flat(one) == flat(other)
    with tempfile.TemporaryDirectory() as name:
        save_plan(plans[1], Path(name))
        assert flat(load_plan(Path(name)).listing) == flat(plans[1].listing)


def test_a_plan_that_was_saved_in_row_order_is_the_same_plan(tmp_path):
    """As up to 0.1; other rows than those of the rule are refused."""
    plan = planned(listing(300, True))
    index = plan.order.take(range(300))
    save_plan(dataclasses.replace(plan, listing=plan.listing.take(index)), tmp_path)
    with np.load(tmp_path / "plan.npz") as archive:
        saved = dict(archive)
    header = json.loads((tmp_path / "plan.json").read_text())
    del header["sha256"], header["rows_sha256"]
    (tmp_path / "plan.json").write_text(json.dumps(header))
    np.savez(tmp_path / "plan.npz", **saved, listing_index=index)
    assert flat(load_plan(tmp_path).listing) == flat(plan.listing)
    np.savez(tmp_path / "plan.npz", **saved, listing_index=index[::-1])
    with pytest.raises(CorruptStoreError, match=r"their rule.*\n?.*--overwrite"):
        load_plan(tmp_path)


@given(st.integers(1, 2000))
def test_shards_cut_the_rows_into_runs(images):
    plan = planned(listing(images, False))
    runs = [plan.shard_rows(shard) for shard in range(plan.shards)]
    assert [row for run in runs for row in run] == list(range(images))
    assert all(len(run) == ROWS_PER_SHARD for run in runs[:-1])
    assert plan.shards == shard_count(images)


def test_a_listing_with_runs_is_planned_by_them():
    rows = dataclasses.replace(listing(400, False), runs=np.array([150, 1, 249]))
    plan = planned(rows, 3)
    assert plan.attributes.window == WINDOW_ROWS
    expected = PermutedRuns(rows.runs, 3).take(range(400))
    assert np.array_equal(plan.order.take(range(400)), expected)
    assert planned(listing(400, False), 3).attributes.window is None


@pytest.mark.parametrize("name", ["plan.json", "plan.npz"])
@pytest.mark.parametrize("data", [None, b"", b"\xff", b"{}", b"PK\3\4"])
def test_a_damaged_plan_is_refused(tmp_path, name, data):
    save_plan(planned(listing(5, True)), tmp_path)
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CorruptStoreError, match="--overwrite"):
        load_plan(tmp_path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data(), st.sampled_from(["plan.json", "plan.npz"]))
def test_a_flipped_bit_of_a_plan_is_refused(data, name):
    with tempfile.TemporaryDirectory() as folder:
        save_plan(planned(listing(5, True)), Path(folder))
        path = Path(folder, name)
        synthetic.flip(path, data.draw(st.integers(0, 8 * path.stat().st_size - 1)))
        with pytest.raises(CorruptStoreError, match="--overwrite"):
            load_plan(Path(folder))


def test_rows_of_another_plan_are_refused(tmp_path):
    for name, images in (("one", 5), ("other", 6)):
        (tmp_path / name).mkdir()
        save_plan(planned(listing(images, True)), tmp_path / name)
    (tmp_path / "one/plan.npz").write_bytes((tmp_path / "other/plan.npz").read_bytes())
    with pytest.raises(CorruptStoreError, match="not the one that was planned"):
        load_plan(tmp_path / "one")


def test_memory_grows_with_jobs_and_hardly_with_images():
    one = memory_bound(ENCODING, 1, 1000)
    assert memory_bound(ENCODING, 2, 1000) > one
    big = memory_bound(ENCODING, 1, 1_281_167)
    assert big - one < 1_281_167 * 1000
    shard = ROWS_PER_SHARD * 192 * 16
    assert one > shard
    tables, more = (memory_bound(ENCODING, 1, images, 1) for images in (10**7, 10**9))
    assert tables == more


def test_more_images_and_more_bytes_each_are_more_bytes():
    assert estimated_bytes(10, 100) < estimated_bytes(11, 100) < estimated_bytes(11, 110)
