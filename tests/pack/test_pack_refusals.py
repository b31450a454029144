"""What packing refuses, by name, without changing anything."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic
from interruptions import stopped_after

import freqprep
from freqprep.errors import (
    CorruptStoreError,
    FreqprepError,
    ShardMissingError,
    SplitExistsError,
    StoreError,
    StoreLockedError,
    UnknownChannelError,
    UnknownSplitError,
    UsageError,
)
from freqprep.pack import PackRequest, pack
from freqprep.pack.estimate import estimate
from freqprep.store.lock import store_lock

SHARD = "coefficients/c/0/0/0/0"


@pytest.fixture
def copy(store, tmp_path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copy.zarr"))


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "new.zarr"


def packed(store: Path, target: Path, **options) -> Path:
    pack(PackRequest(store, target, **{"jobs": 1} | options))
    return target


def begin(monkeypatch, store: Path, target: Path, shards: int = 0, **options) -> None:
    """Start to pack and stop after so many shards."""
    from freqprep.pack import run as module

    with stopped_after(monkeypatch, module, "pack_shard", shards):
        packed(store, target, **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"level": 0}, "--level must be from 1 to 22, got 0"),
        ({"level": 23}, "got 23"),
        ({"jobs": 0}, "--jobs must be at least 1, got 0"),
        ({"resume": True, "overwrite": True}, "mutually exclusive"),
    ],
)
def test_wrong_options(store, target, options, match):
    with pytest.raises(UsageError, match=match):
        PackRequest(store, target, **options)


def test_a_store_cannot_be_packed_into_itself(copy, tmp_path, monkeypatch):
    link = tmp_path / "link.zarr"
    link.symlink_to(copy)
    monkeypatch.chdir(tmp_path)
    before = synthetic.contents(tmp_path)
    inside = (
        copy,
        link,
        Path("copy.zarr"),
        copy / "train",
        copy / "a" / "b",
        copy / "../copy.zarr",
    )
    for path in inside:
        with pytest.raises(UsageError, match="the store to pack"):
            PackRequest(copy, path)
    with pytest.raises(UsageError, match="not a freqprep store"):
        packed(copy, tmp_path)  # the folder that holds it
    assert synthetic.contents(tmp_path) == before


def test_wrong_stores_splits_and_channels(store, crop_store, target, tmp_path):
    with pytest.raises(StoreError, match="nothing"):
        packed(tmp_path / "nothing", target)
    with pytest.raises(UnknownSplitError, match="train, val"):
        packed(store, target, split="test")
    with pytest.raises(UnknownChannelError, match="square-25"):
        packed(store, target, channels="square-25")
    with pytest.raises(UsageError, match="from 1 to 192"):
        packed(store, target, channels=193, split="val")
    assert sorted(os.listdir(tmp_path)) == []
    packed(store, target, channels="paper-6")
    for channels in ("square-24", "all"):
        with pytest.raises(UnknownChannelError, match="does not store"):
            packed(target, tmp_path / "other.zarr", channels=channels)
    with pytest.raises(UsageError, match="from 1 to 6"):
        packed(target, tmp_path / "other.zarr", channels=7, split="val")


def test_an_existing_split_is_refused_and_replaced_on_request(store, target):
    packed(store, target, split="val", level=2)
    before = synthetic.contents(target)
    with pytest.raises(SplitExistsError, match="val"):
        packed(store, target, level=3)
    with pytest.raises(SplitExistsError, match="val"):
        estimate(PackRequest(store, target, jobs=1))
    assert synthetic.contents(target) == before
    packed(store, target, level=3, overwrite=True)
    found = [split.attributes.level for split in freqprep.open_store(target).values()]
    assert found == [3, 3]
    assert sorted(os.listdir(target)) == ["train", "val", "zarr.json"]


def test_overwriting_touches_its_split_only(store, target):
    packed(store, target, level=2)
    train = synthetic.contents(target / "train")
    packed(store, target, split="val", channels="paper-6", overwrite=True)
    assert synthetic.contents(target / "train") == train
    assert len(freqprep.open_store(target)["val"].attributes.channels) == 6


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"level": 5}, "another level: 2, now 5"),
        ({"level": 2, "channels": "paper-6"}, "another selection: all, now paper-6"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_resuming_with_other_options_is_refused(
    monkeypatch, store, target, options, match, finished
):
    if finished:
        packed(store, target, level=2)
    else:
        begin(monkeypatch, store, target, shards=1, level=2)
    before = synthetic.contents(target)
    with pytest.raises(UsageError, match=match):
        packed(store, target, resume=True, **options)
    assert synthetic.contents(target) == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_replaced_before_the_resume_is_refused(monkeypatch, source, copy, target, finished):
    if finished:
        packed(copy, target, level=2)
    else:
        begin(monkeypatch, copy, target, shards=1, level=2)
    synthetic.make(source, copy, overwrite=True, seed=1)
    before = synthetic.contents(target)
    with pytest.raises(UsageError, match="content id"):
        packed(copy, target, level=2, resume=True)
    assert synthetic.contents(target) == before
    packed(copy, target, level=2, overwrite=True)


def test_a_store_replaced_meanwhile_is_refused(monkeypatch, source, copy, target):
    from freqprep.pack import run as module

    original = module.pack_shard

    def replacing(task):
        result = original(task)
        if task.source.shard == 1:  # the last of train
            synthetic.make(source, copy, overwrite=True, seed=1)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(module, "pack_shard", replacing)
        with pytest.raises(StoreError):
            packed(copy, target, level=2, split="train")
    assert not list(freqprep.open_store(target))


def test_resuming_with_other_libraries_is_refused(monkeypatch, store, target):
    begin(monkeypatch, store, target, shards=1)
    versions = {"freqprep": "0.0", "numcodecs": "0.0", "zarr": "0.0"}
    with monkeypatch.context() as patch:
        patch.setattr("freqprep.pack.planning.packing_versions", lambda: versions)
        with pytest.raises(UsageError, match="library versions"):
            packed(store, target, resume=True)
    packed(store, target, resume=True)


def test_conversions_and_packings_do_not_go_on_with_each_other(monkeypatch, source, store, target):
    begin(monkeypatch, store, target, level=2)
    with pytest.raises(UsageError, match="packed from another store"):
        synthetic.make(source, target, level=2, resume=True)
    packed(store, target, level=2, resume=True)
    with pytest.raises(UsageError, match="packed from another store"):
        synthetic.make(source, target, level=2, resume=True)
    with pytest.raises(UsageError, match="packed from another store"):
        synthetic.make(source, target, level=2, retry_rejected=True)
    synthetic.make(source, target, split="val", overwrite=True)
    with pytest.raises(UsageError, match="converted, not packed"):
        packed(store, target, level=2, resume=True)


def test_splits_of_one_store_have_the_same_classes(monkeypatch, store, target, tmp_path):
    other = synthetic.image_folder(tmp_path / "other", {"val": 2})  # apple, brick
    other = synthetic.make(other, tmp_path / "other.zarr")
    packed(store, target, split="train")
    before = synthetic.contents(target)
    with pytest.raises(UsageError, match="val has other classes than train"):
        packed(other, target)
    assert synthetic.contents(target) == before
    unfinished = tmp_path / "unfinished.zarr"
    begin(monkeypatch, store, unfinished, split="train")
    with pytest.raises(UsageError, match="val has other classes than train"):
        packed(other, unfinished)
    packed(other, tmp_path / "own.zarr")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, tuple[Callable[[Path], None], type[FreqprepError]]] = {
    "missing": (Path.unlink, ShardMissingError),
    "cut off": (cut, CorruptStoreError),
    "first bit": (lambda path: synthetic.flip(path, 0), CorruptStoreError),
    "a bit of a frame": (lambda path: synthetic.flip(path, 8001), CorruptStoreError),
    "last bit": (
        lambda path: synthetic.flip(path, 8 * path.stat().st_size - 1),
        CorruptStoreError,
    ),
}


PAIRS = [
    (damage, level, 1 + (number + (level is None)) % 2)
    for number, damage in enumerate(DAMAGE)
    for level in (None, 9)
]
"""Every damage at either level, and both of them with one job and with two."""


@pytest.mark.parametrize(("damage", "level", "jobs"), PAIRS)
def test_a_damaged_shard_is_named_and_nothing_published(store, copy, target, damage, level, jobs):
    change, error = DAMAGE[damage]
    change(copy / "train" / SHARD)
    with pytest.raises(error, match=SHARD):
        packed(copy, target, level=level, split="train", jobs=jobs)
    assert not list(freqprep.open_store(target))
    shutil.copy(store / "train" / SHARD, copy / "train" / SHARD)
    packed(copy, target, level=level, split="train", resume=True)
    whole = packed(store, target.with_name("whole.zarr"), level=level, split="train")
    assert synthetic.contents(target) == synthetic.contents(whole)


def test_any_bit_of_a_shard_is_noticed(store, copy, target):
    path = copy / "val" / SHARD
    rng = np.random.default_rng(0)
    for bit in rng.integers(0, 8 * path.stat().st_size, 25).tolist():
        synthetic.flip(path, bit)
        with pytest.raises(CorruptStoreError, match=SHARD):
            packed(copy, target, split="val", overwrite=True)
        synthetic.flip(path, bit)
    packed(copy, target, split="val", overwrite=True)


def test_damage_of_a_channel_that_is_left_out_does_not_matter(copy, target):
    path = copy / "val" / SHARD
    with freqprep.open_store(copy)["val"].open_shard(0) as file:
        first = int(file.chunk_lengths[0])
    synthetic.flip(path, 8 * (first + 1))  # y_0_1, the second in the file
    packed(copy, target, split="val", channels="y_0_0,cb_0_0")
    with pytest.raises(CorruptStoreError, match=SHARD):
        packed(copy, target, split="val", channels="y_0_1", overwrite=True)


@pytest.mark.parametrize("name", ["label/c/0", "label/zarr.json", "key/c/0"])
def test_a_damaged_small_array_is_named_and_nothing_published(copy, target, name):
    synthetic.flip(copy / "val" / name, 8)
    with pytest.raises(CorruptStoreError, match=name):
        packed(copy, target, split="val")
    assert not list(freqprep.open_store(target))


def test_a_second_writer_is_refused(store, target):
    with store_lock(target), pytest.raises(StoreLockedError, match=str(os.getpid())):
        packed(store, target)
    assert not target.exists()


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_what_is_not_a_store_is_refused_and_left_alone(store, tmp_path, options):
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing/thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a freqprep store"):
        packed(store, tmp_path / "thing", **options)
    assert synthetic.contents(tmp_path) == {"thing/thesis.txt": b"mine"}
