"""What lies where the store shall be: refused, replaced when asked for, never damaged."""

import os
from pathlib import Path

import pytest
import synthetic

import freqprep
from freqprep.errors import SplitExistsError, UsageError


@pytest.fixture
def small(tmp_path) -> Path:
    """A folder of its own, to be changed."""
    return synthetic.image_folder(tmp_path / "small", {"train": 12, "val": 6})


def test_an_existing_split_is_refused_and_nothing_changes(small, tmp_path):
    store = synthetic.make(small, tmp_path / "out.zarr", split="train")
    before = synthetic.contents(tmp_path)
    with pytest.raises(SplitExistsError, match="train"):
        synthetic.make(small, store)
    assert synthetic.contents(tmp_path) == before
    done = synthetic.freqprep("convert", "imagefolder", small, store, "--size", "32")
    assert done.returncode == 2
    assert synthetic.contents(tmp_path) == before


def test_overwriting_touches_its_split_only(small, tmp_path):
    store = synthetic.make(small, tmp_path / "out.zarr")
    val = synthetic.contents(store / "val")
    before = {name: split.content_id for name, split in freqprep.open_store(store).items()}
    synthetic.make(small, store, split="train", overwrite=True, size=24)
    after = {name: split.content_id for name, split in freqprep.open_store(store).items()}
    assert synthetic.contents(store / "val") == val
    assert after["val"] == before["val"] and after["train"] != before["train"]
    synthetic.make(small, store, split="train", overwrite=True)
    assert freqprep.open_store(store)["train"].content_id == before["train"]
    assert sorted(os.listdir(store)) == ["train", "val", "zarr.json"]


@pytest.mark.parametrize("name", ["manifest.json", "zarr.json", "label/zarr.json"])
def test_overwriting_replaces_a_damaged_split(small, tmp_path, name):
    store = synthetic.make(small, tmp_path / "out.zarr")
    before = synthetic.contents(store)
    (store / "train" / name).write_bytes(b"{")
    synthetic.make(small, store, split="train", overwrite=True)
    assert synthetic.contents(store) == before


def _unread(folder: Path) -> dict[Path, tuple[int, int, int, int]]:
    """Status of everything below, without the time of last reading."""
    found = ((path, path.lstat()) for path in folder.rglob("*"))
    return {path: (s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns) for path, s in found}


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("mine")


def a_foreign_group(path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [a_file, a_folder, a_foreign_group, a_dangling_link])
@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_what_is_not_a_store_is_refused_and_left_alone(small, tmp_path, make, options):
    target = tmp_path / "thing"
    make(target)
    before = _unread(tmp_path)
    with pytest.raises(UsageError, match="not a freqprep store"):
        synthetic.make(small, target, **options)
    assert _unread(tmp_path) == before


@pytest.mark.parametrize("path", ["/", "/."])
def test_a_path_without_a_name_cannot_be_a_store(small, path):
    with pytest.raises(UsageError, match="cannot be a store"):
        synthetic.make(small, Path(path))


def test_an_empty_folder_becomes_a_store(small, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    synthetic.make(small, Path())
    assert list(freqprep.open_store(tmp_path / "empty")) == ["train", "val"]


def test_a_store_killed_before_its_first_file_was_in_place_goes_on(small, tmp_path):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr/.zarr.json.new").write_bytes(b"{ half")
    store = synthetic.make(small, tmp_path / "out.zarr", resume=True)
    assert sorted(os.listdir(store)) == ["train", "val", "zarr.json"]
