"""Stores of each format version stay readable, by this code and by zarr-python alone."""

import hashlib
import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import freqprep
from freqprep.engines import Workers
from freqprep.errors import FormatVersionError, RejectedRowError
from freqprep.spectrum.channels import NAMES
from freqprep.store import schema, versions
from freqprep.store.manifest import read_manifest
from freqprep.store.verify import verify

HERE = Path(__file__).resolve().parent
STORES = {
    "imagefolder": "format-1.0.zarr",
    "coco": "format-1.0-coco.zarr",
    "packed": "format-1.1.zarr",
}
IMAGES = {"imagefolder": 5, "coco": 3, "packed": 5}
FILES = ["ant/1.png", "ant/caf\u00e9.png", "bee/empty.png", "bee/grey.png", "cat/dot.png"]
KEYS = {
    "imagefolder/train": FILES,
    "coco/val": ["12.png", "4.png", "9.png"],
    "packed/train": FILES,
}
STEPS = {
    "1.0": {"y_0_0": 8, "y_7_7": 4, "cr_0_0": 8},
    "1.1": {"y_0_0": 4, "y_7_7": 4, "cr_0_0": 0.5},
}
"""Steps of some channels, by format version."""


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """What the stores held when they were made: kind/split/array -> values."""
    held = {}
    for name in ("expected.npz", "expected-1.1.npz"):
        with np.load(HERE / name) as archive:
            held |= {name: archive[name] for name in archive.files}
    return held


@pytest.fixture(scope="module")
def maker():
    """The generator, for its sources."""
    spec = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=KEYS)
def place(request) -> str:
    return request.param


@pytest.fixture
def split(place) -> freqprep.Split:
    kind, _, name = place.partition("/")
    return freqprep.open_store(HERE / STORES[kind])[name]


@pytest.mark.parametrize("kind", STORES)
def test_a_golden_store_verifies(kind):
    found = verify(HERE / STORES[kind], Workers(1))
    assert not found.problems and found.images == IMAGES[kind]


@pytest.mark.parametrize("kind", STORES)
def test_zarr_alone_reads_what_was_written(kind, maker, expected):
    found = maker.arrays(HERE / STORES[kind])
    assert {f"{kind}/{name}" for name in found} == {n for n in expected if n.startswith(f"{kind}/")}
    for name, values in found.items():
        wanted = expected[f"{kind}/{name}"]
        assert values.dtype == wanted.dtype and np.array_equal(values, wanted), name


def test_this_code_reads_what_was_written(split, place, expected):
    for name in expected:
        array = name.removeprefix(f"{place}/")
        if array != name and array != "coefficients":
            assert np.array_equal(split.array(array), expected[name]), name
    stored = split.attributes.channels
    codes = expected[f"{place}/coefficients"][split.valid]
    assert np.array_equal(split.read_codes(split.valid), codes[:, np.argsort(stored)])
    known = STEPS[split.attributes.format_version]
    steps = np.array(list(known.values()), np.float32)[:, None, None]
    picked = codes[:, [stored.index(NAMES.index(name)) for name in known]]
    assert np.array_equal(split.read(split.valid, list(known)), picked * steps)


def test_the_newer_store_has_what_the_older_cannot_have():
    attributes = freqprep.open_store(HERE / STORES["packed"])["train"].attributes
    assert (attributes.level, attributes.rejected) == (17, 1)
    assert [NAMES[index] for index in attributes.channels] == [
        "y_0_0", "y_0_1", "y_7_7", "cb_0_0", "cb_3_4", "cr_0_0", "cr_1_0",
    ]  # fmt: skip
    assert attributes.stored_steps.tolist() == [4, 4, 4, 16, 16, 0.5, 8]
    assert len(attributes.packed.content_id) == 64


def test_a_reader_of_1_0_refuses_the_newer_store_by_name(monkeypatch):
    monkeypatch.setattr(schema, "FORMAT_VERSION", "1.0")
    assert len(freqprep.open_store(HERE / STORES["imagefolder"])["train"]) == 5
    store = freqprep.open_store(HERE / STORES["packed"])
    with pytest.raises(FormatVersionError, match=r"format 1\.1, this freqprep reads up to 1\.0"):
        store["train"]


def test_a_large_split_with_its_shards_listed_apart(monkeypatch, tmp_path, maker):
    store, held = HERE / "format-1.2.zarr", np.load(HERE / "expected-1.2.npz")
    monkeypatch.setattr(schema, "MOST_SIMPLE_ROWS", 4)  # as if five rows were millions
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    split = freqprep.open_store(store)["train"]
    assert split.manifest.attributes["format_version"] == "1.2"
    assert verify(store, Workers(1)).problems == () and sorted(split.keys) == FILES
    content = (store / "train/coefficients/c/0/0/0/0").read_bytes()
    part = len(content).to_bytes(8, "little") + hashlib.sha256(content).digest()
    assert (store / "train/shards/0").read_bytes() == part
    again = maker.arrays(maker.make("large", tmp_path))
    for name, values in maker.arrays(store).items():
        assert np.array_equal(values, held[f"large/{name}"]), name
        assert np.array_equal(values, again[name]), name


def test_rows_have_their_keys_labels_and_defects(split, place):
    assert sorted(split.keys) == KEYS[place]
    for row, key in enumerate(split.keys):
        assert split.valid[row] == (key != "bee/empty.png")
        if not split.valid[row]:
            assert split.defect(row).startswith("empty")
            with pytest.raises(RejectedRowError):
                split.read([row])
        if place != "coco/val":
            assert split.attributes.class_ids[split.labels[row]] == key.partition("/")[0]


def test_reading_does_not_care_about_library_versions(split, monkeypatch):
    monkeypatch.setattr(versions, "library_versions", lambda: {"freqprep": "99"})
    assert set(split.attributes.versions) >= {"freqprep", "zarr", "numcodecs", "pillow"}
    assert split.read(split.valid).dtype == np.float32


@pytest.mark.parametrize("kind", STORES)
def test_the_same_images_still_give_the_same_arrays(kind, maker, expected, tmp_path):
    found = maker.arrays(maker.make(kind, tmp_path))
    for name, values in found.items():
        assert np.array_equal(values, expected[f"{kind}/{name}"]), name


@pytest.mark.parametrize(("kind", "split"), [("imagefolder", "train"), ("coco", "val")])
def test_what_1_0_can_express_keeps_its_bytes(kind, split, maker, tmp_path):
    again, golden = maker.make(kind, tmp_path), HERE / STORES[kind]
    assert (again / "zarr.json").read_bytes() == (golden / "zarr.json").read_bytes()
    now, then = (read_manifest(store / split)[0] for store in (again, golden))
    changed = {name for name in now.attributes if now.attributes[name] != then.attributes[name]}
    assert changed <= {"versions"} and now.attributes.keys() == then.attributes.keys()
    if now.attributes["versions"]["numcodecs"] == then.attributes["versions"]["numcodecs"]:
        assert now.files == then.files


def test_golden_files_stay_small():
    files = [path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    sizes = [path.stat().st_size for path in files]
    assert sum(sizes) < 270_000
