"""Plans and journals of anyone, behind right hashes: what does not fit is refused by name."""

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import synthetic
from coco_folder import coco_folder

from freqprep.convert.publication import append_all
from freqprep.convert.run import Request, convert, planned
from freqprep.errors import CorruptStoreError, SourceError
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.document_hash import with_hash
from freqprep.store.journal import Journal, RowResults, ShardResult
from freqprep.store.packed import PackedShard
from freqprep.store.plan import load_attributes, load_plan
from freqprep.store.plan_files import save_files
from freqprep.store.record_journal import open_journal


@pytest.fixture
def request_of_coco(tmp_path) -> Request:
    return Request("coco", coco_folder(tmp_path / "coco"), tmp_path / "s.zarr", size=16, jobs=1)


@pytest.fixture
def folder(request_of_coco) -> Path:
    with planned(request_of_coco) as (partials, _, _):
        return partials["val"].folder


def put_rows(folder: Path, data: bytes) -> None:
    """Write the arrays of a plan, with their hash, and that of the document."""
    (folder / "plan.npz").write_bytes(data)
    put_header(folder, rows_sha256=hashlib.sha256(data).hexdigest())


def put_header(folder: Path, **changes: object) -> None:
    header = json.loads((folder / "plan.json").read_bytes()) | changes
    (folder / "plan.json").write_text(json.dumps(with_hash(header)))


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "plan.npz") as archive:
        return dict(archive)


def packed(arrays: dict[str, np.ndarray], write=np.savez) -> bytes:
    out = io.BytesIO()
    write(out, **arrays)
    return out.getvalue()


def first_is(value: int):
    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] = value
        return array

    return change


OTHER_ARRAYS = {
    "a label of no class": ("labels", first_is(9)),
    "labels of other numbers": ("labels", lambda array: array.astype(np.float64)),
    "fewer labels": ("labels", lambda array: array[1:]),
    "a column of two": ("version", lambda array: array[:, None]),
    "a length before the file": ("length", first_is(-9)),
    "an offset beyond all files": ("offset", first_is(2**63 - 1)),
    "sizes below nothing": ("stated_sizes", first_is(-1)),
    "sizes without a side": ("stated_sizes", lambda array: array[:, 0]),
    "keys that begin late": ("keys.offsets", first_is(1)),
    "keys that fall": ("keys.offsets", lambda array: array[[0, 2, 1, 3, 4]]),
    "keys that end late": ("keys.offsets", lambda array: array + (array == array[-1])),
    "no offset of keys": ("keys.offsets", lambda array: array[:0]),
    "a null byte in a path": ("paths.values", first_is(0)),
    "runs below nothing": ("runs", lambda _: np.array([5, -1])),
    "objects of no class": ("objects.label", first_is(-1)),
    "boxes of three": ("objects.box", lambda array: array[:, :3]),
    "objects of no image": ("objects.offsets", lambda array: array + (array == array[-1])),
    "an annotation too few": ("objects.annotation.offsets", lambda array: array[:-1]),
    "ids that are no numbers": ("image_ids", lambda array: array.astype("U5")),
}


@pytest.mark.parametrize("case", OTHER_ARRAYS)
def test_arrays_that_do_not_fit_are_refused(case, folder):
    name, change = OTHER_ARRAYS[case]
    arrays = arrays_of(folder)
    put_rows(folder, packed(arrays))
    assert len(load_plan(folder).listing) == 4
    arrays[name] = change(arrays.get(name))
    put_rows(folder, packed(arrays))
    with pytest.raises(CorruptStoreError, match=r"plan in .* cannot be read: .*--overwrite"):
        load_plan(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("ignored", []), ("ignored", {"a": "b"}), ("options", {"a": 1}), ("image_column", 5)],
)
def test_a_header_of_other_types_is_refused(key, value, folder):
    put_header(folder, **{key: value})
    with pytest.raises(CorruptStoreError, match="cannot be read"):
        load_attributes(folder)


def test_a_number_of_images_that_are_not_there_is_refused(folder):
    attributes = json.loads((folder / "plan.json").read_bytes())["attributes"]
    put_header(folder, attributes={**attributes, "images": 2**50})
    with pytest.raises(CorruptStoreError, match="keys"):
        load_plan(folder)


def test_arrays_that_unpack_to_more_than_the_file_are_refused(folder):
    arrays = arrays_of(folder)
    put_rows(folder, packed(arrays, np.savez_compressed))
    with pytest.raises(CorruptStoreError, match="compressed"):
        load_plan(folder)
    put_rows(folder, overlapping())
    with pytest.raises(CorruptStoreError, match="its arrays have"):
        load_plan(folder)


def overlapping() -> bytes:
    """An archive whose directory names one entry a hundred times."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("labels.npy", bytes(10_000))
        archive.filelist *= 100
        archive._didModify = True
    return out.getvalue()


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"labels": np.zeros(4, np.int64)}, "no column of files"),
        ({"length": np.zeros(3, np.int64)}, "length is int64"),
        ({"version": np.zeros(4, np.uint8)}, "version is uint8"),
    ],
)
def test_other_columns_of_repaired_files_are_refused(columns, what, folder):
    save_files(load_plan(folder).listing.files, folder)
    (path,) = folder.glob("listed-files-*.npz")
    load_plan(folder)
    path.write_bytes(packed(columns))
    with pytest.raises(CorruptStoreError, match=what):
        load_plan(folder)
    path.write_bytes(packed({"length": np.zeros(4, np.int64)}, np.savez_compressed))
    with pytest.raises(CorruptStoreError, match="compressed"):
        load_plan(folder)


@pytest.mark.parametrize("text", [b"{", b"[1]", b"\xff{}"])
def test_an_annotation_that_is_no_object_ends_a_conversion_by_name(text, folder, request_of_coco):
    arrays = arrays_of(folder)
    values, offsets = (arrays[f"objects.annotation.{name}"] for name in ("values", "offsets"))
    own = bytes(values[offsets[0] : offsets[1]])
    values[offsets[0] : offsets[1]] = np.frombuffer(text.ljust(len(own)), np.uint8)
    put_rows(folder, packed(arrays))
    with pytest.raises(SourceError, match="annotation is not an object"):
        convert(dataclasses.replace(request_of_coco, resume=True))


@pytest.mark.parametrize("path", [b"/secret.jpg", b"../secret.jpg", b"a/../../secret.jpg"])
def test_a_plan_does_not_lead_out_of_the_source(path, folder, request_of_coco, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(synthetic.picture(1))
    arrays = arrays_of(folder)
    if path.startswith(b"/"):
        path = bytes(secret)
    arrays["paths.values"] = np.frombuffer(path * 4, np.uint8)
    arrays["paths.offsets"] = np.arange(5) * len(path)
    arrays["length"][:] = secret.stat().st_size
    arrays["version"][:] = secret.stat().st_mtime_ns
    put_rows(folder, packed(arrays))
    with pytest.raises(CorruptStoreError, match="names a file outside the source"):
        convert(dataclasses.replace(request_of_coco, resume=True))


def test_images_that_the_user_names_outside_are_read(tmp_path):
    source = coco_folder(tmp_path / "coco")
    (source / "val2017").rename(tmp_path / "elsewhere")
    images = tmp_path / "elsewhere"
    store = tmp_path / "s.zarr"
    request = Request("coco", source, store, size=16, jobs=1, images=images)
    assert convert(request)["val"].valid == 3


def result(shard: int = 0, rows: int = 4, **changes: object) -> ShardResult:
    whole = ShardResult(shard, "0" * 64, 9, RowResults.empty(rows), Moments.zero(CHANNELS))
    return dataclasses.replace(whole, **changes)


def put_line(path: Path, **changes: object) -> None:
    data = json.dumps(result().to_json() | changes).encode()
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(data), data))


@pytest.mark.parametrize(
    "changes",
    [
        {"shard": [0]}, {"shard": -1}, {"shard": True}, {"shard": "0"}, {"bytes": 1.5},
        {"bytes": 2**63}, {"sha256": "x"}, {"sha256": None}, {"defects": {"0": 5}},
        {"notes": {"x": "y"}}, {"rows": result().to_json()["rows"] | {"valid": [True]}},
    ],
)  # fmt: skip
def test_a_line_that_is_no_entry_is_refused(changes, tmp_path):
    put_line(tmp_path / "journal.jsonl", **changes)
    with pytest.raises(CorruptStoreError, match="line 1 of the journal"):
        Journal(tmp_path / "journal.jsonl", ShardResult)


@pytest.mark.parametrize("entry", [result(7), PackedShard(7, 1, "0" * 64)])
def test_a_line_of_a_shard_that_does_not_exist_is_refused(entry, tmp_path):
    path = tmp_path / "journal.jsonl"
    with open_journal(path, type(entry), 900, ()) as journal:
        journal.append(entry)
    with pytest.raises(CorruptStoreError, match="no shard 7 of 7"):
        open_journal(path, type(entry), 896, ())


@pytest.mark.parametrize(
    "entry", [result(rows=3), result(defects={9: "x"}), result(notes={-1: ""})]
)
def test_results_of_other_rows_than_the_plan_has_are_refused(entry, folder):
    with pytest.raises(CorruptStoreError, match="other rows of shard 0 than the plan"):
        append_all(Nothing(), load_plan(folder), {0: entry})


class Nothing:
    """A writer that drops what it is given."""

    def append(self, *_: object) -> None:
        pass

    def add_shards(self, _: object) -> None:
        pass
