"""The pass: exact against all codes at once, under merging, and on any number of workers."""

import dataclasses
import itertools
import shutil

import brute
import numpy as np
import pytest
import synthetic
import zarr
from coco_shapes import shapes_folder

from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.importance import scores
from freqprep.importance.collect import collect, shard_rows, shards_together
from freqprep.importance.shard_counts import GROUPS, CountTask, count_shards, parts_of, rows_of
from freqprep.importance.sums import ACTIVITY_UNIT, Sums
from freqprep.importance.visibility import scale_of
from freqprep.store.reader import open_store
from freqprep.store.split import Split


def histogram(codes: np.ndarray, largest: int) -> np.ndarray:
    return np.stack([np.bincount(channel + largest, minlength=2 * largest) for channel in codes])


def test_histograms_are_those_of_all_codes(sums, reference):
    largest = sums.histogram.shape[-1] // 2
    for group in range(GROUPS):
        codes = reference.part([group]).all_codes
        assert np.array_equal(sums.histogram[group], histogram(codes, largest))
        assert sums.blocks[group] == codes.shape[1]
        assert sums.images[group] == (reference.groups == group).sum()


def test_products_of_components(sums, reference):
    codes = reference.all_codes.reshape(3, 64, -1)
    for number, (a, b) in enumerate([(0, 1), (0, 2), (1, 2)]):
        assert np.array_equal(sums.cross[..., number].sum(axis=0), (codes[a] * codes[b]).sum(-1))


def test_squares_by_scale(sums, reference):
    scales = scale_of(reference.sizes.min(axis=1))
    for scale in np.unique(scales):
        images = np.flatnonzero(scales == scale)
        expected = sum((reference.codes[i] ** 2).sum(axis=1) for i in images)
        assert np.array_equal(sums.squares[:, scale].sum(axis=0), expected)
    assert sums.squares.sum() == sum((codes**2).sum() for codes in reference.codes)


def test_activities_and_classes(sums, reference):
    activity = np.rint(reference.activity / ACTIVITY_UNIT).astype(np.int64)
    assert np.array_equal(sums.activity.sum(axis=0), activity.sum(axis=0))
    assert np.array_equal(sums.activity_products.sum(axis=0), activity.T @ activity)
    assert np.array_equal(sums.class_squares.sum(axis=0), (activity**2).sum(axis=0))
    for label in range(3):
        members = activity[reference.labels == label]
        assert sums.class_images[:, label].sum() == len(members)
        assert np.array_equal(sums.class_activity[:, label].sum(axis=0), members.sum(axis=0))
    levels = sums.class_levels.sum(axis=(0, 3))
    assert (levels == sums.class_images.sum(axis=0)[:, None]).all()


def test_levels_are_half_octaves_around_the_mean(sums, reference):
    energy = np.stack([(c**2).mean(axis=1) for c in reference.coefficients])
    mean = (reference.all_coefficients**2).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.floor(2 * np.log2(energy / mean)) + 10
    level = np.clip(np.nan_to_num(level, nan=10, neginf=0, posinf=15), 0, 15).astype(int)
    found = sums.class_levels.sum(axis=(0, 1))
    for channel in range(192):
        assert np.array_equal(found[channel], np.bincount(level[:, channel], minlength=16))


def fields(sums: Sums) -> list[np.ndarray]:
    return [getattr(sums, field.name) for field in dataclasses.fields(sums)]


def test_parts_add_up_in_any_order(sums):
    parts = [sums.part([group]) for group in (5, 2, 7, 0, 1, 3, 6, 4)]
    added = parts[0]
    for part in parts[1:]:
        added = part + added
    for one, other in zip(fields(added), fields(sums.total()), strict=True):
        assert np.array_equal(one, other)


def test_workers_do_not_matter(split, sums):
    for one, other in zip(fields(collect(split, Workers(2)).sums), fields(sums), strict=True):
        assert np.array_equal(one, other)


def test_shards_counted_together_are_those_counted_one_by_one(tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 1100}, corrupt=3)
    split = open_store(synthetic.make(source, tmp_path / "x.zarr", size=16))["train"]
    counted = []
    for together in (1, 2, 9):  # 9: all of them
        sums = Sums.zero(128, 3, False)
        for shard in range(0, split.shards, together):
            count = min(together, split.shards - shard)
            counts = count_shards(CountTask(split.path, split.content_id, shard, count, None))
            sums.add_shards(counts, shard_rows(split, shard, count))
        counted.append(sums)
    expected, *others = counted
    for found in others:
        for one, other in zip(fields(found), fields(expected), strict=True):
            assert np.array_equal(one, other)
    assert expected.images.sum() == 1097 and expected.class_levels.any()


@pytest.mark.parametrize(
    ("shards", "together"), [(1, 1), (1000, 1), (10_000, 19), (16_384, 32), (8_000_000, 32)]
)
def test_how_many_shards_are_counted_together(shards, together):
    assert shards_together(shards) == together


def test_workers_follow_to_another_folder(store, tmp_path, monkeypatch):
    """They live on between calls; a relative path is one of the main process."""
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"{name}.zarr").symlink_to(store)
        monkeypatch.chdir(folder)
        again = collect(open_store(f"{name}.zarr")["train"], Workers(2)).sums
        assert again.images.sum() == open_store(store)["train"].valid.sum()


def test_bytes_are_those_of_the_chunks(split):
    collected = collect(split, Workers(1))
    index_bytes = 192 * 16 + 4
    files = sum(split.shard_table.entry(shard).file_bytes for shard in range(split.shards))
    assert collected.chunk_bytes.sum() == files - split.shards * index_bytes


@pytest.mark.parametrize("images", [1, 7, 8, 127, 128, 129, 1000, 1500])
def test_every_row_is_in_one_part(images):
    owner = np.full(images, -1)
    for shard in range(-(-images // 128)):
        rows = rows_of(images, shard)
        for group, run in parts_of(images, shard):
            assert (owner[rows[run]] == -1).all()
            owner[rows[run]] = group
    sizes = np.bincount(owner, minlength=GROUPS)
    assert (np.diff(owner) >= 0).all()
    assert owner.min() >= 0
    assert np.ptp(sizes) <= 1


def test_objects_are_counted_in_the_blocks_that_boxes_touch(data, tmp_path):
    store = synthetic.make(data / "bccd", tmp_path / "x.zarr", kind="coco", size=160, split="val")
    split = open_store(store)["val"]
    sums = collect(split, Workers(1)).sums
    offsets, boxes = split.array("object_offset"), split.array("box")
    inside = []
    for row, codes in zip(np.flatnonzero(split.valid), brute.whole(split).codes, strict=True):
        height, width = split.sizes[row]
        touched = np.zeros((-(-height // 8), -(-width // 8)), bool)
        for x, y, w, h in boxes[offsets[row] : offsets[row + 1]]:
            for r, c in itertools.product(*map(range, touched.shape)):
                across = max(x, 8 * c) < min(x + w, 8 * c + 8, width)
                down = max(y, 8 * r) < min(y + h, 8 * r + 8, height)
                touched[r, c] |= across and down
        inside.append(codes[:, touched.reshape(-1)])
    expected = histogram(np.concatenate(inside, axis=1), 128)
    assert np.array_equal(sums.object_histogram.sum(axis=0), expected)
    assert 0 < expected[0].sum() < sums.blocks.sum()


def test_boxes_are_read_once_however_many_shards_there_are(tmp_path, monkeypatch):
    shapes_folder(tmp_path / "shapes", {"val": 140}, side=24)
    store = synthetic.make(tmp_path / "shapes", tmp_path / "x.zarr", kind="coco", size=24)
    split = open_store(store)["val"]
    read: list[str] = []
    array = Split.array
    monkeypatch.setattr(Split, "array", lambda split, name: read.append(name) or array(split, name))
    sums = collect(split, Workers(1)).sums
    assert split.shards == 2 and sums.object_histogram.any()
    assert read.count("box") == read.count("object_offset") == 1
    assert max(map(read.count, read)) <= 2  # a worker opens the split once more


def test_nothing_to_count(source, tmp_path):
    folder = tmp_path / "broken" / "a"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(synthetic.broken(number))
    split = open_store(synthetic.make(tmp_path / "broken", tmp_path / "x.zarr"))["train"]
    with pytest.raises(StoreError, match="3 images, 3 rejected"):
        collect(split, Workers(1))


def test_codes_that_do_not_fit_their_moments_are_refused(store, tmp_path):
    copy = tmp_path / "x.zarr"
    shutil.copytree(store, copy)
    path = copy / "train" / "moment_total"
    array = zarr.open_array(path, mode="r+")
    array[3] = int(array[3]) + 1
    synthetic.reseal(copy / "train")
    with pytest.raises(CorruptStoreError, match="do not add up to the moments"):
        collect(open_store(copy)["train"], Workers(1))


def test_codes_that_never_occur_do_not_count(sums, steps):
    few = sums.without_unused_codes()
    for of_all, of_few in (
        (sums.histogram, few.histogram),
        (sums.object_histogram, few.object_histogram),
    ):
        np.testing.assert_array_equal(of_few.sum(axis=-1), of_all.sum(axis=-1))
    if sums.histogram.shape[-1] > 256:  # int16
        assert few.histogram.shape[-1] < sums.histogram.shape[-1]
    for score in (scores.mean, scores.energy, scores.zero_fraction, scores.entropy):
        np.testing.assert_allclose(score(few, steps), score(sums, steps), rtol=1e-12)
