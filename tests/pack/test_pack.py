"""Packing: equal codes, equal arrays, the shards of a conversion, and a record of where from."""

import json
from pathlib import Path

import numpy as np
import pytest
import subset
import synthetic
from coco_folder import coco_folder

import freqprep
from freqprep.convert.verify_source import compare_with_source
from freqprep.engines import Workers
from freqprep.errors import StoreError
from freqprep.pack import PackRequest, pack
from freqprep.pack.planning import make_plans
from freqprep.spectrum.channels import Selection, published
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS
from freqprep.store.selections import FOLDER, save_selection, saved_selections, steps_path
from freqprep.store.steps_file import write_steps
from freqprep.store.verify import verify
from freqprep.store.versions import packing_versions

BY_CHANNEL = ("step", "moment_total", "moment_total_squares")
PAPER = published("paper-48").indices


def packed(store: Path, target: Path, **options) -> Path:
    pack(PackRequest(store, target, **{"jobs": 1} | options))
    return target


def shards(store: Path, split: str) -> dict[str, bytes]:
    files = synthetic.contents(store / split / "coefficients").items()
    return {name: data for name, data in files if name.startswith("c/")}


def check_equal(old: freqprep.Split, new: freqprep.Split) -> None:
    """Codes of the channels kept, and all arrays, are those of the old split."""
    kept = sorted(new.attributes.channels)
    rows = np.flatnonzero(old.valid)
    np.testing.assert_array_equal(new.read_codes(rows), old.read_codes(rows, kept))
    names = [*IMAGE_ARRAYS, *(OBJECT_ARRAYS if old.has_boxes else [])]
    assert new.has_boxes == old.has_boxes
    positions = [old.attributes.positions[index] for index in new.attributes.channels]
    for name in names:
        ours, theirs = new.array(name), old.array(name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs[positions] if name in BY_CHANNEL else theirs)
    np.testing.assert_array_equal(new.moments.total[kept], old.moments.total[kept])
    np.testing.assert_array_equal(new.steps[kept], old.steps[kept])


LEVELS, SELECTED = (None, 1, 17), (None, "paper-48", "cr_7_7,y_0_0", 5)
PAIRS = [
    ("store" if (number + place) % 2 else "crop_store", level, channels)
    for number, level in enumerate(LEVELS)
    for place, channels in enumerate(SELECTED)
]
"""Every level with every choice, and each of them with either store."""


@pytest.mark.parametrize(("fixture", "level", "channels"), PAIRS)
def test_codes_and_all_other_arrays_stay_equal(request, tmp_path, fixture, level, channels):
    store = request.getfixturevalue(fixture)
    target = packed(store, tmp_path / "new.zarr", level=level, channels=channels, split="train")
    old, new = freqprep.open_store(store)["train"], freqprep.open_store(target)["train"]
    check_equal(old, new)
    expected = {None: 192, "paper-48": 48, "cr_7_7,y_0_0": 2, 5: 5}
    assert len(new.attributes.channels) == expected[channels]
    assert new.attributes.level == (level or 1)
    assert new.content_id != old.content_id
    assert not verify(target, Workers(1)).problems


def test_objects_masks_and_annotations_are_kept(tmp_path):
    store = synthetic.make(coco_folder(tmp_path / "coco"), tmp_path / "x.zarr", kind="coco")
    target = packed(store, tmp_path / "new.zarr", level=5, channels="square-24")
    check_equal(freqprep.open_store(store)["val"], freqprep.open_store(target)["val"])
    assert not verify(target, Workers(1)).problems
    compared, problems = compare_with_source(target, tmp_path / "coco", 10)
    assert compared == 4 and not problems


@pytest.mark.parametrize(("level", "jobs"), [(3, 1), (17, 2), (22, 1)])
def test_shards_are_those_of_a_conversion_at_the_level(source, store, tmp_path, level, jobs):
    converted = synthetic.make(source, tmp_path / "converted.zarr", level=level)
    target = packed(store, tmp_path / "new.zarr", level=level, jobs=jobs)
    for split in ("train", "val"):
        assert shards(target, split) == shards(converted, split)


def test_all_channels_at_the_same_level_are_the_same_shards(crop_store, tmp_path):
    target = packed(crop_store, tmp_path / "new.zarr")
    for split in ("train", "val"):
        assert shards(target, split) == shards(crop_store, split)


def test_frames_whose_level_stays_are_copied_not_decoded(monkeypatch, store, tmp_path):
    def decode(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("freqprep.store.shard.ShardFile._decode", decode)
    monkeypatch.setattr("freqprep.store.shard.zstd", None)
    target = packed(store, tmp_path / "new.zarr", channels="paper-48")
    monkeypatch.undo()
    check_equal(freqprep.open_store(store)["val"], freqprep.open_store(target)["val"])


def test_packing_in_steps_is_packing_at_once(store, tmp_path):
    """The shards and arrays, that is: where a split comes from is part of its attributes."""
    once = packed(store, tmp_path / "once.zarr", level=9, channels="paper-48")
    between = packed(store, tmp_path / "between.zarr", level=17, channels="paper-64")
    twice = packed(between, tmp_path / "twice.zarr", level=9, channels="paper-48")
    for split in ("train", "val"):
        assert shards(twice, split) == shards(once, split)
        check_equal(freqprep.open_store(between)[split], freqprep.open_store(twice)[split])
    ids = [freqprep.open_store(path)["train"].content_id for path in (store, between)]
    origin = [
        freqprep.open_store(path)["train"].attributes.packed.content_id for path in (once, twice)
    ]
    assert origin == ids
    assert not verify(twice, Workers(1)).problems


def test_the_store_does_not_depend_on_path_jobs_and_splits_at_once(store, tmp_path):
    one = packed(store, tmp_path / "one.zarr", level=4, jobs=2)
    other = packed(store, tmp_path / "a" / "b" / "other.zarr", level=4, split="val")
    packed(store, other, level=4, split="train")
    assert synthetic.contents(one) == synthetic.contents(other)


def test_one_split_at_a_high_level_beside_another(store, tmp_path):
    target = packed(store, tmp_path / "new.zarr", level=17, split="train", channels="paper-48")
    assert list(freqprep.open_store(target)) == ["train"]
    train = synthetic.contents(target / "train")
    packed(store, target, split="val", level=1)
    found = {name: split.attributes for name, split in freqprep.open_store(target).items()}
    assert {name: (a.level, len(a.channels)) for name, a in found.items()} == {
        "train": (17, 48),
        "val": (1, 192),
    }
    assert synthetic.contents(target / "train") == train


def test_where_it_comes_from_is_recorded(store, tmp_path):
    target = packed(store, tmp_path / "new.zarr", level=2, split="val", channels="paper-48")
    old, new = freqprep.open_store(store)["val"], freqprep.open_store(target)["val"]
    before, after = old.attributes, new.attributes
    assert after.packed is not None
    assert after.packed.content_id == old.content_id
    assert dict(after.packed.versions) == packing_versions()
    assert set(packing_versions()) == {"freqprep", "numcodecs", "zarr"}
    assert after.versions == before.versions  # those libraries decided the codes
    assert after.format_version == "1.1" and before.format_version == "1.0"
    (line,) = target.with_name("new.zarr.log").read_text().splitlines()
    entry = json.loads(line)
    assert entry["content_id"] == new.content_id and entry["packed_from"] == old.content_id
    assert entry["source"] == str(store.resolve())
    assert (entry["level"], entry["channels"], entry["images"]) == (2, "paper-48", 24)
    rejects = (path.with_name(f"{path.name}.rejected-val.jsonl") for path in (store, target))
    assert len({path.read_text() for path in rejects}) == 1


def test_named_paths_of_the_conversion_are_known_to_verify(tmp_path):
    source = coco_folder(tmp_path / "coco")
    (source / "annotations/instances_val2017.json").rename(source / "mine.json")
    options = {"kind": "coco", "split": "val", "annotations": source / "mine.json"}
    store = synthetic.make(source, tmp_path / "x.zarr", images=source / "val2017", **options)
    target = packed(store, tmp_path / "new.zarr", channels="paper-6")
    compared, problems = compare_with_source(target, source, 10)
    assert compared == 4 and not problems


def test_saved_selections_are_copied_and_those_of_the_target_kept(store, tmp_path):
    source = packed(store, tmp_path / "source.zarr", split="val")
    for name, indices in {"mine": (3, 0), "other": (7,)}.items():
        save_selection(source, Selection(indices, name), {"by": "energy"})
    target = packed(source, tmp_path / "new.zarr", channels="mine")
    assert synthetic.contents(target / FOLDER) == synthetic.contents(source / FOLDER)
    assert sorted(freqprep.open_store(target)["val"].attributes.channels) == [0, 3]
    save_selection(target, Selection((0,), "mine"), {"by": "hand"})
    (target / FOLDER / ".partial-carried").mkdir()  # as a kill leaves it
    packed(source, target, channels="mine", resume=True)
    assert saved_selections(target)["mine"].indices == (0,)
    assert sorted(path.name for path in (target / FOLDER).iterdir()) == ["mine.json", "other.json"]
    assert not verify(target, Workers(1)).problems


def test_steps_go_with_their_selection_and_what_is_damaged_is_named(store, tmp_path, caplog):
    caplog.set_level("INFO", "freqprep")
    source = packed(store, tmp_path / "source.zarr", split="val")
    for name in ("fitted", "mine", "torn"):
        write_steps(steps_path(save_selection(source, Selection((3,), name), {})), subset.MIXED)
    torn = source / FOLDER / "torn.json"
    torn.write_bytes(torn.read_bytes().replace(b"y_0_3", b"y_0_2"))
    target = tmp_path / "new.zarr"
    packed(store, target, split="val")
    save_selection(target, Selection((0,), "mine"), {})
    packed(source, target, overwrite=True)
    names = sorted(path.name for path in (target / FOLDER).iterdir())
    assert names == ["fitted.json", "fitted.steps.json", "mine.json", "torn.steps.json"]
    assert f"not copied: {torn} is damaged" in caplog.text
    assert "keeps its own selection mine" in caplog.text
    assert saved_selections(target)["mine"].indices == (0,)
    assert not verify(target, Workers(1)).problems


def test_no_selection_is_written_through_a_link(store, tmp_path):
    source = packed(store, tmp_path / "source.zarr", split="val")
    save_selection(source, Selection((3,), "mine"), {})
    target, elsewhere = packed(store, tmp_path / "new.zarr", split="val"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".partial-carried").mkdir()
    (target / FOLDER).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        packed(source, target, overwrite=True)
    with pytest.raises(StoreError, match="symbolic link"):
        save_selection(target, Selection((3,), "mine"), {})
    assert [path.name for path in elsewhere.iterdir()] == [".partial-carried"]
    (found,) = verify(target, Workers(1)).problems
    assert found.where == FOLDER and "symbolic link" in found.what


def test_a_count_takes_the_same_channels_in_every_split_or_none(store, tmp_path):
    opened = freqprep.open_store(store)
    chosen = {n: [freqprep.channels(n, split).indices for split in opened.values()] for n in (1, 9)}
    assert set(chosen[1][0]) == set(chosen[1][1])
    for count, (train, val) in chosen.items():
        request = PackRequest(store, tmp_path / "new.zarr", channels=count)
        if set(train) == set(val):
            assert len(make_plans(request)) == 2
        else:
            with pytest.raises(freqprep.FreqprepError, match="--split"):
                make_plans(request)


def test_a_loader_and_tensors_of_a_packed_store(store, tmp_path):
    target = packed(store, tmp_path / "new.zarr", level=17, channels="paper-48")
    old, new = (freqprep.open_store(path)["train"] for path in (store, target))
    for mine, theirs in zip(*(_epoch(split) for split in (new, old)), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _epoch(split: freqprep.Split) -> list[np.ndarray]:
    loader = freqprep.Loader(split, "paper-48", batch_size=5, seed=1)
    with loader:
        return [batch.codes.numpy().copy() for batch in loader]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_can_be_packed(source, tmp_path, precision):
    options = {"split": "val", "precision": PRECISIONS[precision]}
    store = synthetic.make(source, tmp_path / "x.zarr", **options)
    target = packed(store, tmp_path / "new.zarr", level=17, channels=list(PAPER))
    check_equal(freqprep.open_store(store)["val"], freqprep.open_store(target)["val"])
    assert freqprep.open_store(target)["val"].attributes.encoding.precision.name == precision
