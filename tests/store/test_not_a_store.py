"""Paths that are no store: each is named for what it is, with what to do."""

import os
import shutil

import pytest

from freqprep.errors import CorruptStoreError, FormatVersionError, StoreError, UsageError
from freqprep.store.reader import open_store


@pytest.fixture
def copy(store, tmp_path):
    return shutil.copytree(store, tmp_path / "photos.zarr")


def said(path) -> str:
    with pytest.raises(StoreError) as caught:
        open_store(path)
    assert not isinstance(caught.value, CorruptStoreError)
    return str(caught.value)


def test_what_is_not_there_a_link_and_a_file(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").touch()
    for name, what in {
        "none": "there is no store",
        "link": "link to nothing",
        "file": "file",
    }.items():
        text = said(tmp_path / name)
        assert what in text and str(tmp_path / name) in text and "freqprep convert" in text
    (tmp_path / "empty").mkdir()
    assert "has no zarr.json" in said(tmp_path / "empty")


def test_a_run(tmp_path):
    (tmp_path / "model.json").write_text("{}")
    assert "folder of a training run" in said(tmp_path) and "freqprep evaluate" in said(tmp_path)


def test_a_split_and_what_is_inside_one(copy, tmp_path, monkeypatch):
    text = said(copy / "train")
    assert f"is one split of a store; name the store, {copy};" in text and "--split train" in text
    for inside in ("train/label", "train/coefficients/c", "val/no"):
        (copy / inside).mkdir(exist_ok=True)
        assert f"is a part of a store; name the store, {copy};" in said(copy / inside)
    monkeypatch.chdir(copy.parent)
    from pathlib import Path

    assert "name the store, photos.zarr;" in said(Path("photos.zarr/val"))
    monkeypatch.chdir(copy / "val")
    assert "name the store, ..;" in said(Path("."))


def test_an_unfinished_split_and_a_store_without_a_finished_one(copy):
    shutil.rmtree(copy / "val")
    os.rename(copy / "train", copy / ".partial-train")
    assert "unfinished split" in said(copy / ".partial-train")
    assert "--resume" in said(copy / ".partial-train")
    opened = open_store(copy)
    assert (opened.unfinished, opened.incomplete) == (["train"], [])
    with pytest.raises(UsageError, match=r"train is still being written.*--resume"):
        opened.only(None)


def test_a_split_whose_copy_is_incomplete(copy):
    (copy / "val/manifest.json").unlink()
    opened = open_store(copy)
    assert opened.incomplete == ["val"]
    with pytest.raises(UsageError, match=r"val has no manifest\.json: the copy is incomplete"):
        _ = opened["val"]


def test_a_split_copied_alone(copy, tmp_path):
    shutil.copytree(copy / "val", tmp_path / "alone")
    assert "is one split of a store, without its store" in said(tmp_path / "alone")


def test_a_folder_of_stores_names_them(copy):
    assert f"name one: {copy}" in said(copy.parent)


def test_a_store_inside_another_folder_of_a_store_is_a_store(store, copy):
    inner = shutil.copytree(store, copy / "inner.zarr")
    assert set(open_store(inner)) == {"train", "val"}


def test_another_programs_zarr(tmp_path):
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(FormatVersionError, match="not a freqprep store"):
        open_store(tmp_path)
