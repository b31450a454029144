"""Pipes and links for files of a store: a named error, and nothing outside changes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import synthetic

import freqprep
from freqprep.convert.repair import RepairRequest, repair
from freqprep.engines import Workers
from freqprep.errors import FreqprepError, StoreError, UsageError
from freqprep.store.lock import store_lock
from freqprep.store.log import log_path
from freqprep.store.reader import open_store
from freqprep.store.verify import verify


@pytest.fixture
def copy(store, tmp_path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "out.zarr"))


@pytest.fixture
def outside(tmp_path) -> Path:
    """A folder that nothing may change."""
    (tmp_path / "outside/split").mkdir(parents=True)
    (tmp_path / "outside/mine").write_text("mine")
    (tmp_path / "outside/plan.json").write_text("{}")
    return tmp_path / "outside"


OTHERS: dict[str, Callable[[Path, Path], object]] = {
    "pipe": lambda path, outside: os.mkfifo(path),
    "folder": lambda path, outside: path.mkdir(),
    "link": lambda path, outside: path.symlink_to(outside / "mine"),
    "link to what is not there": lambda path, outside: path.symlink_to(outside / "new"),
    "device": lambda path, outside: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_lock_that_is_none_is_refused(copy, outside, kind):
    before = synthetic.contents(outside)
    OTHERS[kind](copy.with_name("out.zarr.lock"), outside)
    with pytest.raises(UsageError, match="not a lock"), store_lock(copy):
        pass
    assert os.path.lexists(copy.with_name("out.zarr.lock"))
    assert synthetic.contents(outside) == before


@pytest.mark.parametrize("kind", OTHERS)
def test_a_conversion_is_done_without_its_log(source, tmp_path, outside, kind, caplog):
    caplog.set_level("INFO", "freqprep")
    before = synthetic.contents(outside)
    store = tmp_path / "new.zarr"
    OTHERS[kind](log_path(store), outside)
    synthetic.make(source, store, size=16)
    assert "nothing is logged" in caplog.text
    assert not verify(store, Workers(1)).problems
    assert synthetic.contents(outside) == before


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize("name", [".partial-train", ".replaced-train", ".partial-train/split"])
def test_no_conversion_goes_on_elsewhere(source, copy, outside, name, how):
    before = synthetic.contents(outside)
    shutil.rmtree(copy / "train")
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).symlink_to(outside)
    with pytest.raises(StoreError, match=r"symbolic link|plan in .* cannot be read"):
        synthetic.make(source, copy, **how)
    assert synthetic.contents(outside) == before and (copy / name).is_symlink()


def test_a_split_elsewhere_is_read_and_neither_replaced_nor_repaired(source, copy, tmp_path):
    moved = Path(shutil.move(copy / "train", tmp_path / "moved"))
    (copy / "train").symlink_to(moved)
    assert len(open_store(copy)["train"]) and not verify(copy, Workers(1)).problems
    (moved / "label/c/0").unlink()
    before = synthetic.contents(moved)
    with pytest.raises(StoreError, match="symbolic link"):
        synthetic.make(source, copy, overwrite=True)
    (one,) = repair(RepairRequest(copy, source, workers=Workers(1))).repairs
    assert "symbolic link" in str(one.error)
    assert synthetic.contents(moved) == before


def test_no_repair_is_made_elsewhere(source, copy, outside):
    (copy / "train/label/c/0").unlink()
    (copy / ".repair-train").symlink_to(outside)
    before = synthetic.contents(outside)
    with pytest.raises(StoreError, match="symbolic link"):
        repair(RepairRequest(copy, source, workers=Workers(1)))
    assert synthetic.contents(outside) == before


def test_a_document_of_the_store_that_was_begun_elsewhere_is_not_written_there(source, tmp_path):
    store, victim = tmp_path / "new.zarr", tmp_path / "victim"
    victim.write_text("mine")
    store.mkdir()
    (store / ".zarr.json.new").symlink_to(victim)
    synthetic.make(source, store, size=16)
    assert victim.read_text() == "mine" and not (store / "zarr.json").is_symlink()


@pytest.mark.parametrize("name", ["zarr.json", "train/zarr.json", "train/manifest.json"])
def test_commands_that_meet_a_pipe_say_so(store, copy, name):
    shutil.copy(log_path(store), log_path(copy))
    (copy / name).unlink()
    os.mkfifo(copy / name)
    assert any(problem.where == name for problem in verify(copy, Workers(1)).problems)
    with pytest.raises(FreqprepError):
        freqprep.open_store(copy)["train"]
    assert not repair(RepairRequest(copy, workers=Workers(1))).verified.problems
