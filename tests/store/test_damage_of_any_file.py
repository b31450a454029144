"""Any damage to any file of a store is found, and reading never gives other data."""

import shutil
from pathlib import Path

import damage
import large_forms
import numpy as np
import pytest
import synthetic

import freqprep
from freqprep.engines import Workers
from freqprep.errors import FreqprepError
from freqprep.pack import PackRequest, pack
from freqprep.store.verify import verify


@pytest.fixture(scope="module", params=["one level", "two levels"])
def victim(request, tmp_path_factory):
    """A store to damage and put right again, and all that can be read of its two splits."""
    request.getfixturevalue("store")  # which is of all tests, and not made with other limits
    folder = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "two levels":
            large_forms.lower_limits(patch, folder / "tmp")
        source = synthetic.image_folder(folder / "source", {"train": 140, "val": 101}, corrupt=3)
        made, store = synthetic.make(source, folder / "made.zarr", size=16), folder / "out.zarr"
        pack(PackRequest(made, store, channels="paper-6", jobs=1))  # 192 channels take longer
        opened = freqprep.open_store(store)
        yield store, {name: dict(damage.everything(opened[name])) for name in opened}


ARRAYS = ("coefficients", "label", "key", "defect_offset", "moment_total")


def names_of(store: Path) -> list[str]:
    """Return a file of each kind: what a store is opened by, lists of shards, some arrays."""
    return [
        name
        for name in damage.files_of(store)
        if name.count("/") < 2 or name.split("/")[1] in (*ARRAYS, "shards")
    ]


def check(
    store: Path, name: str, whole: dict[str, dict[str, np.ndarray]], split: str | None
) -> None:
    """Verify a store of which a file is damaged, and read its splits, or one of them."""
    found = verify(store, Workers(1), split).problems
    assert any(f"{name} " in f"{p.where} {p.what} " for p in found), (name, found)
    for one in whole if split is None else [split]:
        try:
            for what, read in damage.everything(freqprep.open_store(store)[one]):
                assert np.array_equal(read, whole[one][what]), f"{name}: {what} of {one} differs"
        except FreqprepError as error:
            assert error.message


@pytest.mark.parametrize("kind", damage.DAMAGES)
def test_every_damage_is_found_and_no_other_data_is_read(victim, kind):
    store, whole = victim
    names = names_of(store)
    assert len(names) >= 13
    for number, name in enumerate(names):
        path, other = store / name, damage.other_of(store, name)
        before = {path: path.read_bytes(), other: other.read_bytes()}
        if kind == "swapped" and before[path] == before[other]:
            continue
        damage.DAMAGES[kind](path, other, number)
        both = kind == "swapped" or name.count("/") < 2  # not one of its arrays
        check(store, name, whole, None if both else "train")
        for damaged, data in before.items():
            damaged.write_bytes(data)
    assert not verify(store, Workers(1)).problems


@pytest.mark.parametrize("kind", ["deleted", "emptied", "flipped"])
def test_the_command_names_the_file(store, tmp_path, kind):
    copy = Path(shutil.copytree(store, tmp_path / "out.zarr"))
    for name in ("zarr.json", "train/manifest.json", "train/zarr.json", "train/label/c/0"):
        path = copy / name
        whole = path.read_bytes()
        damage.DAMAGES[kind](path, path, 5)
        done = synthetic.freqprep("verify", copy)
        assert done.returncode == 4, done.stderr
        assert f"{name}: " in done.stdout and "NOT WHOLE" in done.stdout
        path.write_bytes(whole)
    assert synthetic.freqprep("verify", copy).returncode == 0
