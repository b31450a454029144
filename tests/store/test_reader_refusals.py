"""What is not a whole store of a known format is refused, never read in part."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic
import zarr

import freqprep
from freqprep.engines import Workers
from freqprep.errors import (
    CorruptStoreError,
    FormatVersionError,
    FreqprepError,
    RejectedRowError,
    ShardMissingError,
    StoreError,
    UnknownSplitError,
)
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.summary import summarize
from freqprep.store.verify import verify


def edit(path: Path, change: Callable[[dict], None]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "version", ["1.3", "2.0", "0.9", "one", None, "1", "1.x", "1.²", "1." + "9" * 5000, 1.0]
)
def test_another_format_version_is_refused(copy, version):
    edit(copy / "zarr.json", lambda d: d["attributes"].update(format_version=version))
    if version == 1.0:  # the same text
        assert len(freqprep.open_store(copy)) == 2
        return
    with pytest.raises(FormatVersionError, match=str(version)[:20]):
        freqprep.open_store(copy)


@pytest.mark.parametrize("version", ["1.3", "2.0"])
def test_another_format_version_of_a_split_is_refused(copy, version):
    manifest, _ = synthetic.read_manifest(copy / "train")
    attributes = {**manifest.attributes, "format_version": version}
    synthetic.write_manifest(copy / "train", synthetic.Manifest(attributes, manifest.files))
    with pytest.raises(FormatVersionError, match=version):
        freqprep.open_store(copy)["train"]
    assert len(freqprep.open_store(copy)["val"]) == 24


def not_ours(folder: Path) -> None:
    zarr.create_group(folder)


def empty(folder: Path) -> None:
    folder.mkdir()


def absent(folder: Path) -> None:
    pass


def a_file(folder: Path) -> None:
    folder.write_bytes(b"")


def an_array(folder: Path) -> None:
    zarr.create_array(folder, shape=(1,), dtype="int8")


def no_json(folder: Path) -> None:
    folder.mkdir()
    (folder / "zarr.json").write_bytes(b"\xff{")


@pytest.mark.parametrize("make", [not_ours, empty, absent, a_file, an_array, no_json])
def test_what_is_no_store_is_refused(tmp_path, make):
    make(tmp_path / "thing")
    with pytest.raises(StoreError):
        freqprep.open_store(tmp_path / "thing")


def test_a_split_without_a_manifest_is_no_split(copy):
    (copy / "train/manifest.json").unlink()
    assert list(freqprep.open_store(copy)) == ["val"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["attributes"].update(content_id="0" * 64),
        lambda d: d["attributes"].update(seed=1),
        lambda d: d["attributes"]["classes"]["names"].reverse(),
        lambda d: d.pop("attributes"),
        lambda d: d.update(node_type="array"),
    ],
)
def test_a_tampered_group_document_is_refused(copy, change):
    edit(copy / "train/zarr.json", change)
    with pytest.raises(CorruptStoreError):
        freqprep.open_store(copy)["train"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"attributes": {}, "files": {}}', "{"])
def test_a_damaged_manifest_is_refused(copy, text):
    (copy / "train/manifest.json").write_text(text)
    with pytest.raises((CorruptStoreError, FormatVersionError)):
        freqprep.open_store(copy)["train"]


@pytest.mark.parametrize("name", ["label", "valid", "size", "key", "key_offset", "step"])
def test_small_arrays_are_never_read_damaged_or_in_part(copy, name):
    (chunk,) = (path for path in (copy / "train" / name / "c").rglob("*") if path.is_file())
    whole = chunk.read_bytes()
    split = freqprep.open_store(copy)["train"]
    chunk.unlink()
    with pytest.raises(ShardMissingError, match=name):
        split.array(name)
    for damaged in (b"", whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        chunk.write_bytes(damaged)
        with pytest.raises(CorruptStoreError, match=name):
            split.array(name)
    chunk.write_bytes(whole)
    edit(copy / "train" / name / "zarr.json", lambda d: d.update(fill_value=1))
    with pytest.raises(CorruptStoreError, match=name):
        split.array(name)
    with pytest.raises(StoreError, match="no array"):
        split.array("lab")


MISFITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "label": lambda old: old.astype(np.float64),
    "valid": lambda old: old.astype(np.int64),
    "size": lambda old: old[:, :1],
    "source_bytes": lambda old: np.append(old, old),
    "key_offset": lambda old: old[:-1],
    "step": lambda old: old[:5],
}


@pytest.mark.parametrize("name", MISFITS)
def test_arrays_of_another_type_or_length_are_refused_before_they_are_used(copy, name):
    split = freqprep.open_store(copy)["train"]
    synthetic.replace_array(split.path, name, MISFITS[name](split.array(name)))
    split = freqprep.open_store(copy)["train"]
    for read in (split.array, split.arrays.in_parts, split.arrays.column):
        with pytest.raises(CorruptStoreError, match=rf"array {name} of .* (not|is not of)"):
            read(name)
    (problem,) = verify(copy, Workers(1)).problems
    assert problem.where == f"train/{name}"


def restate_images(split: Path, images: object) -> None:
    """State another number of images in a self-consistent split."""
    manifest, _ = synthetic.read_manifest(split)
    attributes = {**manifest.attributes, "images": images, "rejected": 0, "format_version": "1.1"}
    codes = PRECISIONS["int8"].to_dict()
    attributes |= {"quantization": codes, "compression": {"codec": "zstd", "level": 1}}
    synthetic.write_manifest(split, synthetic.Manifest(attributes, manifest.files))


@pytest.mark.parametrize("images", [129, 161, 256])
def test_another_number_of_images_than_arrays_have_is_refused(copy, images):
    restate_images(copy / "train", images)
    split = freqprep.open_store(copy)["train"]
    with pytest.raises(CorruptStoreError, match=f"has 160 along image, not {images}"):
        summarize(split)
    with pytest.raises(CorruptStoreError, match="along image"):
        split.valid  # noqa: B018


def test_no_more_is_allocated_than_the_listed_chunks_hold(copy):
    edit(copy / "train/key/zarr.json", lambda d: d.update(shape=[10**15]))
    synthetic.reseal(copy / "train")
    with pytest.raises(CorruptStoreError, match=r"array key .* has 1 chunks"):
        freqprep.open_store(copy)["train"].keys  # noqa: B018


@pytest.mark.parametrize("change", ["another", "gone"])
def test_small_arrays_of_a_split_that_was_replaced_say_so(copy, change):
    split = freqprep.open_store(copy)["train"]
    synthetic.replace_array(split.path, "label", split.array("label") * 0)
    if change == "gone":
        shutil.rmtree(split.path / "label")
    with pytest.raises(StoreError, match=f"{split.path} was replaced after it was opened"):
        split.labels  # noqa: B018


def test_a_missing_shard_is_an_error_and_the_others_read(copy):
    split = freqprep.open_store(copy)["train"]
    shutil.rmtree(copy / "train/coefficients/c/1")
    good = np.flatnonzero(split.valid)
    first, second = int(good[0]), int(good[good >= 128][0])
    split.read([first])
    with pytest.raises(ShardMissingError):
        split.read([first, second])
    assert freqprep.open_store(copy)["train"].content_id == split.content_id


def test_errors_are_of_one_tree():
    for error in (RejectedRowError, CorruptStoreError, UnknownSplitError, FormatVersionError):
        assert issubclass(error, FreqprepError)
