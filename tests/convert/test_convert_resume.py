"""Going on with a conversion, and trying rejected images again."""

import dataclasses
import os
import shutil
from pathlib import Path

import imagenet_forms
import numpy as np
import pytest
import synthetic
from interruptions import Stop, stopped_after

import freqprep
from freqprep.convert.planning import discover
from freqprep.convert.request import Request
from freqprep.convert.retry_rejected import prepare_retry
from freqprep.engines import Workers
from freqprep.errors import (
    SourceChangedError,
    SplitExistsError,
    UsageError,
)
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.cache import ChunkCache
from freqprep.store.plan import load_plan
from freqprep.store.selections import FOLDER, save_selection
from freqprep.store.shard import ShardFile
from freqprep.store.split import Split
from freqprep.store.verify import verify
from freqprep.store.writer import PartialSplit


@pytest.fixture
def small(tmp_path) -> Path:
    """A folder of its own, to be changed."""
    return synthetic.image_folder(tmp_path / "small", {"train": 12, "val": 6})


def begin(monkeypatch, source: Path, store: Path, shards: int = 0, **options) -> None:
    """Start a conversion and stop it after so many shards."""
    from freqprep.convert import shard_runs as module

    with stopped_after(monkeypatch, module, "convert_shard", shards):
        synthetic.make(source, store, **options)


def test_resuming_a_finished_store_changes_nothing(small, tmp_path):
    store = synthetic.make(small, tmp_path / "out.zarr")
    before = synthetic.contents(store)
    words = ["convert", "imagefolder", small, store, "--size", "32", "--resume"]
    assert synthetic.freqprep(*words).returncode == 0
    assert synthetic.contents(store) == before


@pytest.mark.parametrize(
    "options",
    [
        {"size": 24},
        {"precision": PRECISIONS["int16"]},
        {"seed": 1},
        {"geometry": "crop"},
        {"kind": "imagenet"},
    ],
    ids=str,
)
@pytest.mark.parametrize("finished", [True, False])
def test_resuming_with_other_options_is_refused(monkeypatch, tmp_path, options, finished):
    source = tmp_path / "source"
    imagenet_forms.as_folders(source)
    store = tmp_path / "out.zarr"
    if finished:
        synthetic.make(source, store)
    else:
        begin(monkeypatch, source, store)
    before = synthetic.contents(store)
    with pytest.raises(UsageError, match="begun with another"):
        synthetic.make(source, store, resume=True, **options)
    assert synthetic.contents(store) == before


def test_resume_goes_by_the_plan_not_by_a_new_listing(monkeypatch, source, tmp_path, store):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    target = tmp_path / "out.zarr"
    begin(monkeypatch, folder, target, shards=1)
    (folder / "train/apple/zzz new.jpg").write_bytes(synthetic.picture(1))
    (folder / "val/new class").mkdir()
    (folder / "val/new class/1.jpg").write_bytes(synthetic.picture(1))
    synthetic.make(folder, target, resume=True)
    assert synthetic.contents(target) == synthetic.contents(store)


def test_an_unfinished_split_is_not_begun_again_unasked(monkeypatch, small, tmp_path):
    store = tmp_path / "out.zarr"
    begin(monkeypatch, small, store)
    with pytest.raises(SplitExistsError, match="unfinished"):
        synthetic.make(small, store)
    synthetic.make(small, store, overwrite=True, size=24)
    assert synthetic.contents(store) == synthetic.contents(
        synthetic.make(small, tmp_path / "other.zarr", size=24)
    )


def test_an_overwrite_stopped_before_its_plan_is_not_taken_for_finished(
    monkeypatch, small, tmp_path
):
    store = synthetic.make(small, tmp_path / "out.zarr", size=24)

    def stop(*_: object) -> None:
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("freqprep.convert.run.save_plan", stop)
        with pytest.raises(Stop):
            synthetic.make(small, store, overwrite=True)
    synthetic.make(small, store, resume=True)
    fresh = synthetic.make(small, tmp_path / "fresh.zarr")
    assert synthetic.contents(store) == synthetic.contents(fresh)


def test_the_classes_of_an_unfinished_split_bind_the_others(monkeypatch, small, tmp_path):
    store = tmp_path / "out.zarr"
    ids = ("brick", "cloud", "apple")
    begin(monkeypatch, small, store, split="train", classes=ids)
    synthetic.make(small, store, split="val")
    synthetic.make(small, store, split="train", resume=True)
    found = {split.attributes.class_ids for split in freqprep.open_store(store).values()}
    assert found == {ids}


@pytest.mark.parametrize("change", ["bytes", "time"])
def test_a_file_that_was_repaired_is_read_as_it_is(monkeypatch, source, tmp_path, change):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    store = tmp_path / "out.zarr"
    begin(monkeypatch, folder, store, shards=1, split="train")
    plan = load_plan(store / ".partial-train")
    ends = plan.order.take(np.array([0, len(plan.order) - 1])).tolist()
    paths = plan.listing.files.paths
    first, last = (folder / os.fsdecode(paths.bytes_at(index)) for index in ends)
    if change == "bytes":
        last.write_bytes(synthetic.picture(99))
    else:
        os.utime(last, (1, 1))
    begin(monkeypatch, folder, store, split="train", resume=True)
    now = load_plan(store / ".partial-train").listing.files.version[ends[-1]]
    assert now == last.stat().st_mtime_ns  # what a stopped resume has begun with is kept
    synthetic.make(folder, store, split="train", resume=True)
    fresh = synthetic.make(folder, tmp_path / "fresh.zarr", split="train")
    assert synthetic.contents(store) == synthetic.contents(fresh)
    begin(monkeypatch, folder, store, shards=1, split="train", overwrite=True)
    os.utime(last, (3, 3))
    os.utime(first, (3, 3))  # it is in the shard that is finished
    with pytest.raises(SourceChangedError, match=last.name):
        synthetic.make(folder, store, split="train", resume=True)


def test_a_file_that_is_gone_stops_the_run(monkeypatch, small, tmp_path):
    store = tmp_path / "out.zarr"
    begin(monkeypatch, small, store)
    (small / "train/brick/00001.jpg").unlink()
    with pytest.raises(SourceChangedError, match=r"00001\.jpg"):
        synthetic.make(small, store, resume=True)
    assert "train" not in freqprep.open_store(store)


def test_a_damaged_journal_is_refused(monkeypatch, source, tmp_path):
    store = tmp_path / "out.zarr"
    begin(monkeypatch, source, store, shards=1)
    (store / ".partial-train/journal.jsonl").write_text("{}\n")
    with pytest.raises(freqprep.FreqprepError, match="journal"):
        synthetic.make(source, store, resume=True)


@pytest.mark.parametrize("change", ["gone", "cut"])
def test_a_finished_shard_without_its_file_is_made_again(
    monkeypatch, source, store, tmp_path, capsys, change
):
    again = tmp_path / "out.zarr"
    begin(monkeypatch, source, again, shards=1)
    shard = again / ".partial-train/split/coefficients/c/0/0/0/0"
    shard.unlink() if change == "gone" else shard.write_bytes(b"cut")
    capsys.readouterr()
    synthetic.make(source, again, resume=True)
    said = "train: of 1 finished shard the file is missing or cut off, and made again: first "
    assert f"{said}coefficients/c/0/0/0/0" in capsys.readouterr().err
    opened, expected = freqprep.open_store(again)["train"], freqprep.open_store(store)["train"]
    assert opened.content_id == expected.content_id


def repair(folder: Path) -> None:
    for seed, path in enumerate(sorted(folder.rglob("*.jpg"))):
        data = path.read_bytes()
        if data in [synthetic.broken(index) for index in (int(path.stem),)]:
            path.write_bytes(synthetic.picture(seed))


def test_retrying_after_a_repair_is_a_conversion_of_the_repaired(source, store, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    target = Path(shutil.copytree(store, tmp_path / "out.zarr"))
    before = {name: split.content_id for name, split in freqprep.open_store(target).items()}
    repair(folder)
    synthetic.make(folder, target, retry_rejected=True)
    fresh = synthetic.make(folder, tmp_path / "fresh.zarr")
    assert synthetic.contents(target) == synthetic.contents(fresh)
    for name, split in freqprep.open_store(target).items():
        assert split.valid.all() and split.content_id != before[name]
        assert not target.with_name(f"{target.name}.rejected-{name}.jsonl").exists()


def test_a_retry_that_was_stopped_goes_on(monkeypatch, source, store, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    target = Path(shutil.copytree(store, tmp_path / "out.zarr"))
    repair(folder)
    begin(monkeypatch, folder, target, retry_rejected=True)
    synthetic.make(folder, target, resume=True)
    fresh = synthetic.make(folder, tmp_path / "fresh.zarr")
    assert synthetic.contents(target) == synthetic.contents(fresh)


def test_retrying_without_a_repair_changes_nothing(source, store, tmp_path):
    target = Path(shutil.copytree(store, tmp_path / "out.zarr"))
    synthetic.make(source, target, retry_rejected=True)
    assert synthetic.contents(target) == synthetic.contents(store)


def test_a_retry_decodes_a_shard_once_however_large(monkeypatch, source, store, tmp_path):
    target = Path(shutil.copytree(store, tmp_path / "out.zarr"))
    opened: list[int] = []
    open_shard = Split.open_shard

    def count(split: Split, shard: int, *more: object) -> ShardFile:
        opened.append(shard)
        return open_shard(split, shard, *more)

    monkeypatch.setattr(Split, "open_shard", count)
    monkeypatch.setattr(ChunkCache, "get", lambda *_: None)  # as if no chunk had room
    split = freqprep.open_store(target)["train"]
    listing = discover(Request("imagefolder", source, target)).listings["train"]
    prepare_retry(PartialSplit(target, "train"), split, listing, source)
    bad = np.unique(np.flatnonzero(~split.valid) // 128)
    # Once to compare its codes with the source's, once for the moments that it takes along.
    assert sorted(opened) == sorted([*bad, *bad])


def test_a_retry_from_another_source_is_refused(source, store, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    target = Path(shutil.copytree(store, tmp_path / "out.zarr"))
    (folder / "train/apple/00000.jpg").write_bytes(b"longer than it was" * 1000)
    with pytest.raises(SourceChangedError, match="another length"):
        synthetic.make(folder, target, retry_rejected=True)
    (folder / "train/apple/00000.jpg").rename(folder / "train/apple/00000b.jpg")
    with pytest.raises(SourceChangedError, match="other images"):
        synthetic.make(folder, target, retry_rejected=True)
    (folder / "train/apple/00000b.jpg").unlink()
    with pytest.raises(SourceChangedError, match="159 images"):
        synthetic.make(folder, target, retry_rejected=True)
    assert synthetic.contents(target) == synthetic.contents(store)
    with pytest.raises(UsageError, match="no finished split"):
        synthetic.make(source, tmp_path / "none.zarr", retry_rejected=True)
    assert not (tmp_path / "none.zarr").exists()


def test_a_retry_refuses_other_labels(source, store, tmp_path):
    """Of a kind whose keys do not have them."""
    given = Request("imagefolder", source, store)
    split, listing = freqprep.open_store(store)["train"], discover(given).listings["train"]
    rotated = dataclasses.replace(listing, labels=(listing.labels + 1) % 3)
    partial = PartialSplit(Path(shutil.copytree(store, tmp_path / "out.zarr")), "train")
    with pytest.raises(SourceChangedError, match=r"labels of 160 rows.*row 0.*now"):
        prepare_retry(partial, split, rotated, source)
    assert not partial.folder.exists()


def test_a_retry_refuses_a_valid_image_that_was_replaced(source, store, tmp_path):
    folder, target = tmp_path / "source", tmp_path / "out.zarr"
    shutil.copytree(source, folder)
    shutil.copytree(store, target)
    split = freqprep.open_store(target)["train"]
    path = folder / "train" / split.keys[int(split.valid.nonzero()[0][0])]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    before = synthetic.contents(target)
    with pytest.raises(SourceChangedError, match="no longer the image"):
        synthetic.make(folder, target, retry_rejected=True)
    assert synthetic.contents(target) == before


def test_no_conversion_touches_saved_selections_or_minds_them(monkeypatch, tmp_path):
    """A split added, overwritten, resumed and retried: as without the selections, to the byte."""
    small = synthetic.image_folder(tmp_path / "small", {"train": 12, "val": 6}, corrupt=1)
    plain = synthetic.contents(synthetic.make(small, tmp_path / "plain.zarr"))
    store = synthetic.make(small, tmp_path / "out.zarr", split="train")
    save_selection(store, Selection((3, 0), "mine"), {"by": "energy"})
    saved = synthetic.contents(store / FOLDER)

    def check() -> None:
        everything = synthetic.contents(store).items()
        assert synthetic.contents(store / FOLDER) == saved
        assert plain == {name: data for name, data in everything if not name.startswith(FOLDER)}
        assert not verify(store, Workers(1)).problems

    synthetic.make(small, store, split="val")
    check()
    synthetic.make(small, store, overwrite=True)
    check()
    begin(monkeypatch, small, store, overwrite=True)
    synthetic.make(small, store, resume=True)
    check()
    synthetic.make(small, store, retry_rejected=True)
    check()
