"""A plan: every row once, in an order that depends on the seed alone, and kept exactly."""

import dataclasses
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
from freqprep.sources.listing import FileTable, Listing, Objects
from freqprep.spectrum.quantization import PRECISIONS
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
from freqprep.store.row_order import WINDOW_ROWS, permuted_runs
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
    assert sorted(plan.listing_index.tolist()) == list(range(images))
    for row, index in enumerate(plan.listing_index.tolist()):
        assert plan.rows.keys.bytes_at(row) == source.keys.bytes_at(index)
        assert plan.rows.files.paths.bytes_at(row) == source.files.paths.bytes_at(index)
        for name in ("offset", "length", "version"):
            assert getattr(plan.rows.files, name)[row] == getattr(source.files, name)[index]
        assert plan.rows.labels[row] == source.labels[index]
        if with_objects:
            assert plan.rows.image_ids[row] == source.image_ids[index]
            assert (plan.rows.stated_sizes[row] == source.stated_sizes[index]).all()
            ours, theirs = plan.rows.objects, source.objects
            mine = slice(*ours.offsets[row : row + 2])
            its = slice(*theirs.offsets[index : index + 2])
            for name in ("box", "label", "area", "iscrowd", "annotation_id"):
                assert np.array_equal(getattr(ours, name)[mine], getattr(theirs, name)[its])
            texts = [ours.annotation.bytes_at(i) for i in range(mine.start, mine.stop)]
            assert texts == [theirs.annotation.bytes_at(i) for i in range(its.start, its.stop)]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(**cases)
def test_a_saved_plan_is_the_same_plan(images, with_objects, seed):
    plan = planned(listing(images, with_objects, seed), seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_plan(plan, folder)
        assert flat(load_plan(folder)) == flat(plan)
        assert load_attributes(folder) == plan.attributes


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
    assert np.array_equal(plan.listing_index, permuted_runs(rows.runs, 3))
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
    for name, seed in (("one", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        save_plan(planned(listing(5, True), seed), tmp_path / name)
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


def test_more_images_and_more_bytes_each_are_more_bytes():
    assert estimated_bytes(10, 100) < estimated_bytes(11, 100) < estimated_bytes(11, 110)
