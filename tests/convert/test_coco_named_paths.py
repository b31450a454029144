"""``--annotations`` and ``--images``: from the current folder, and the same on every later run."""

import json
import os
import shutil
from pathlib import Path

import pytest
import synthetic
from coco_folder import coco_folder

import freqprep
from freqprep.convert.verify_source import compare_with_source
from freqprep.errors import SourceError, UsageError
from freqprep.store.layout import PARTIAL_PREFIX
from freqprep.store.plan import load_plan


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Two exports that could be anything, in a folder with images of one and of the other."""
    coco_folder(tmp_path / "set")
    (tmp_path / "set/annotations").rename(tmp_path / "set/exports")
    (tmp_path / "set/exports/instances_val2017.json").rename(tmp_path / "set/exports/a.json")
    shutil.copy(tmp_path / "set/exports/a.json", tmp_path / "set/exports/b.json")
    (tmp_path / "set/val2017").rename(tmp_path / "set/pictures")
    monkeypatch.chdir(tmp_path)
    return Path("set")


NAMED = {"annotations": Path("set/exports/a.json"), "images": Path("set/pictures")}


def make(source, store="s.zarr", **options):
    return synthetic.make(source, Path(store), kind="coco", **options)


def test_a_named_file_becomes_the_split_that_is_named(source):
    for split, stored in ((None, "train"), ("val2017", "val"), ("fold", "fold")):
        make(source, split=split, **NAMED)
        opened = freqprep.open_store("s.zarr")[stored]
        assert opened.attributes.source_split == (split or "train")
        assert len(opened) == 4 and opened.valid.sum() == 3
    assert sorted(freqprep.open_store("s.zarr")) == ["fold", "train", "val"]


def test_a_named_file_tells_its_split_where_its_name_does(source):
    for name, stored in (("instances_val2017.json", "val"), ("my_test.json", "test")):
        shutil.copy("set/exports/a.json", name)
        make(source, annotations=Path(name), images=NAMED["images"])
        assert stored in freqprep.open_store("s.zarr")


def test_files_outside_of_the_source_give_the_same_store(source, tmp_path):
    inside = make(source, **NAMED)
    shutil.copytree(source, tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    named = {option: Path("elsewhere", *path.parts[1:]) for option, path in NAMED.items()}
    outside = make(Path("empty"), "o.zarr", **named)
    assert synthetic.contents(inside) == synthetic.contents(outside)
    assert compare_with_source(outside, Path("empty"), 4) == (4, [])


def test_verify_finds_the_named_paths_in_the_log(source, tmp_path, monkeypatch):
    store = tmp_path / make(source, split="train", **NAMED)
    make(source, split="val", annotations=Path("set/exports/b.json"), images=NAMED["images"])
    monkeypatch.chdir("/")
    done = synthetic.freqprep_json("verify", store, "--source", tmp_path / "set")
    assert done["ok"] and done["compared"] == 8
    shutil.move(tmp_path / "set", tmp_path / "moved")
    assert compare_with_source(store, tmp_path / "moved", 4) == (8, [])
    log = tmp_path / "s.zarr.log"
    log.write_text("{torn\n[]\n" + log.read_text() + '{"content_id": 3}\n{"torn')
    assert compare_with_source(store, tmp_path / "moved", 4) == (8, [])
    log.unlink()
    with pytest.raises(SourceError, match=r"s\.zarr\.log, does not exist"):
        compare_with_source(store, tmp_path / "moved", 4)


def begun(source, monkeypatch, **options):
    """Stop a conversion after it has been planned."""
    with monkeypatch.context() as patch:
        patch.setattr("freqprep.engines.run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            make(source, **options)


def test_a_resumed_run_has_the_same_named_paths(source, tmp_path, monkeypatch):
    fresh = make(source, "fresh.zarr", **NAMED)
    begun(source, monkeypatch, **NAMED)
    plan = load_plan(Path("s.zarr") / f"{PARTIAL_PREFIX}train")
    assert plan.listing.options == {"annotations": "exports/a.json", "images": "pictures"}
    others = [{}, {**NAMED, "annotations": Path("set/exports/b.json")}, {"images": Path("set")}]
    for other in others:
        with pytest.raises(UsageError, match=r"begun with --annotations exports/a\.json --images"):
            make(source, resume=True, **other)
    monkeypatch.chdir("set")
    named = {option: Path(*path.parts[1:]) for option, path in NAMED.items()}
    make(Path("."), "../s.zarr", resume=True, **named)
    assert synthetic.contents(tmp_path / "s.zarr") == synthetic.contents(tmp_path / fresh)
    assert compare_with_source(tmp_path / "s.zarr", tmp_path / "set", 4) == (4, [])


def test_a_run_begun_without_named_paths_is_not_resumed_with_them(tmp_path, monkeypatch):
    source = coco_folder(tmp_path / "coco")
    monkeypatch.chdir(tmp_path)
    begun(source, monkeypatch)
    with pytest.raises(UsageError, match="begun with no options of the source, now"):
        make(source, split="val", resume=True, images=source / "val2017")
    make(source, resume=True)


def test_rejected_images_are_tried_again_with_named_paths(source):
    make(source, **NAMED)
    (source / "pictures/30.jpg").write_bytes(synthetic.encoded(synthetic.pixels(30, 24, 24)))
    make(source, retry_rejected=True, **NAMED)
    assert freqprep.open_store("s.zarr")["train"].valid.all()
    assert compare_with_source(Path("s.zarr"), source, 4) == (4, [])


@pytest.mark.parametrize(
    ("named", "error", "words"),
    [
        (
            {"annotations": "exports/a.json"},
            SourceError,
            "--annotations exports/a.json: .* no such",
        ),
        ({"images": "pictures"}, SourceError, "--images pictures: there is no such folder"),
        ({"images": "set/exports/a.json"}, SourceError, "there is no such folder"),
        ({"annotations": "set/exports"}, SourceError, "there is no such file"),
        (
            {"annotations": "set/pictures/11.jpg"},
            SourceError,
            "not UTF-8|not a complete annotation",
        ),
        ({"annotations": "set/exports/a.json", "images": "set/exports"}, SourceError, "none of"),
    ],
)
def test_what_is_not_there_is_named(source, named, error, words):
    with pytest.raises(error, match=words) as caught:
        make(source, **{option: Path(path) for option, path in named.items()})
    assert caught.value.remedy and not Path("s.zarr").exists()


def test_named_paths_are_of_coco_only(source):
    with pytest.raises(UsageError, match="--images with imagefolder"):
        synthetic.make(source, Path("s.zarr"), images=NAMED["images"])


def test_an_annotation_file_as_the_source_is_told_what_to_name(source):
    with pytest.raises(SourceError, match=r"a\.json is not a folder; .* with --annotations"):
        make(source / "exports/a.json")


def test_options_of_the_command(source):
    shutil.copy("set/exports/a.json", "set/exports/c.json")
    command = ["convert", "coco", source, "s.zarr", "--size", "32", "--jobs", "1"]
    named = ["--annotations", "set/exports/c.json", "--images", "set/pictures", "--split", "val"]
    done = synthetic.freqprep_json(*command, *named, "--max-failures", "1")
    assert done["splits"]["val"]["valid"] == 3
    stated = json.loads(Path("set/exports/c.json").read_text())
    assert len(freqprep.open_store("s.zarr")["val"].objects) == len(stated["annotations"])
    assert os.path.exists("s.zarr.log")
