"""Stores of format 1.0 stay readable, by this code and by zarr-python alone."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import freqprep
from freqprep.errors import RejectedRowError
from freqprep.spectrum.channels import STORED_ORDER
from freqprep.store import schema
from freqprep.store.verify import verify

HERE = Path(__file__).resolve().parent
STORES = {"imagefolder": "format-1.0.zarr", "coco": "format-1.0-coco.zarr"}
KEYS = {
    "imagefolder/train": ["ant/1.png", "ant/caf\u00e9.png", "bee/empty.png", "bee/grey.png",
                          "cat/dot.png"],
    "coco/val": ["12.png", "4.png", "9.png"],
}  # fmt: skip


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """What the stores held when they were made: kind/split/array -> values."""
    with np.load(HERE / "expected.npz") as archive:
        return {name: archive[name] for name in archive.files}


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
def split(request) -> freqprep.Split:
    kind, _, name = request.param.partition("/")
    return freqprep.open_store(HERE / STORES[kind])[name]


@pytest.fixture
def place(split) -> str:
    return f"{split.attributes.source_kind}/{split.attributes.split}"


@pytest.mark.parametrize("kind", STORES)
def test_a_golden_store_verifies(kind):
    found = verify(HERE / STORES[kind], jobs=1)
    assert not found.problems and found.images == {"imagefolder": 5, "coco": 3}[kind]


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
    codes = expected[f"{place}/coefficients"][:, np.argsort(STORED_ORDER)]
    assert np.array_equal(split.read_codes(split.valid), codes[split.valid])
    some = ["cr_0_0", "y_7_7", "y_0_0"]
    steps = np.array([8, 4, 8], np.float32)[:, None, None]
    picked = codes[split.valid][:, [128, 63, 0]]
    assert np.array_equal(split.read(split.valid, some), picked * steps)


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
    monkeypatch.setattr(schema, "library_versions", lambda: {"freqprep": "99"})
    assert set(split.attributes.versions) >= {"freqprep", "zarr", "numcodecs", "pillow"}
    assert split.read(split.valid).dtype == np.float32


@pytest.mark.parametrize("kind", STORES)
def test_the_same_images_still_give_the_same_arrays(kind, maker, expected, tmp_path):
    found = maker.arrays(maker.make(kind, tmp_path))
    for name, values in found.items():
        assert np.array_equal(values, expected[f"{kind}/{name}"]), name


def test_golden_files_stay_small():
    files = [path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    sizes = [path.stat().st_size for path in files]
    assert sum(sizes) < 170_000
