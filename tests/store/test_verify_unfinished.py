"""`verify` checks what is there of unfinished splits: plans, journals, and the shards in these."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import large_forms
import pytest
import synthetic

from freqprep.convert.parts import convert_part, plan
from freqprep.convert.request import Request
from freqprep.errors import FreqprepError, UsageError
from freqprep.pack import PackRequest, pack
from freqprep.storage.document_hash import with_hash
from freqprep.store.packed import PackedShard
from freqprep.store.part import Part
from freqprep.store.records import record_of
from freqprep.store.verify import verify
from freqprep.store.verify_unfinished import verify_unfinished

SHARD = "split/coefficients/c/2/0/0/0"


@pytest.fixture(scope="module", params=["lines", "records"])
def begun(request, tmp_path_factory):
    """A store of which three shards of five are made."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "records":
            large_forms.lower_limits(patch, folder / "tmp")
        source = synthetic.image_folder(folder / "source", {"train": 600}, corrupt=2)
        asked = Request("imagefolder", source, folder / "out.zarr", size=16, jobs=1)
        plan(asked)
        assert convert_part(asked, Part(1, 2)) == {"train": 3}
        yield folder / "out.zarr", asked


@pytest.fixture
def copy(begun, tmp_path) -> Path:
    return Path(shutil.copytree(begun[0], tmp_path / "out.zarr"))


def journal_of(store: Path) -> Path:
    (found,) = (store / ".partial-train").glob("journal*")
    return found


def test_what_is_whole_is_counted_and_nothing_is_written(begun):
    store, _ = begun
    before = synthetic.contents(store)
    (found,) = verify_unfinished(store)
    assert (found.split, found.shards, found.finished, found.problems) == ("train", 5, 3, [])
    assert verify_unfinished(store, "other") == []
    assert synthetic.contents(store) == before


DAMAGES: dict[str, Callable[[Path], object]] = {
    f".partial-train/{SHARD}": lambda store: synthetic.flip(store / ".partial-train" / SHARD, 99),
    f".partial-train/{SHARD} gone": lambda store: (store / ".partial-train" / SHARD).unlink(),
    f".partial-train/{SHARD} a pipe": lambda store: pipe(store / ".partial-train" / SHARD),
    ".partial-train/journal": lambda store: synthetic.flip(journal_of(store), 8 * 40 + 1),
    ".partial-train/journal a pipe": lambda store: pipe(journal_of(store)),
    ".partial-train/plan.json": lambda store: (store / ".partial-train/plan.json").write_bytes(b""),
    ".partial-train/plan.json a pipe": lambda store: pipe(store / ".partial-train/plan.json"),
    ".partial-train/plan.json of other rows": lambda store: synthetic.flip(
        store / ".partial-train/plan.npz", 999
    ),
}


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_by_its_file(copy, damage):
    DAMAGES[damage](copy)
    (found,) = verify_unfinished(copy)
    assert found.problems
    assert all(one.where.startswith(damage.split()[0]) and one.what for one in found.problems)


@pytest.mark.parametrize(
    "damage", [name for name in DAMAGES if name.endswith("a pipe") and "journal" in name]
)
def test_a_run_that_goes_on_refuses_a_pipe_as_a_journal(copy, damage, begun):
    DAMAGES[damage](copy)
    with pytest.raises(FreqprepError, match="FIFO"):
        synthetic.make(begun[1].source, copy, size=16, resume=True)


def test_a_run_that_goes_on_makes_a_shard_in_place_of_a_pipe(copy, begun, caplog):
    pipe(copy / ".partial-train" / SHARD)
    synthetic.make(begun[1].source, copy, size=16, resume=True)
    assert "of 1 finished shard the file is missing or cut off" in caplog.text
    assert verify(copy).problems == ()


def test_a_torn_end_and_shards_without_an_entry_are_no_damage(copy):
    journal = journal_of(copy)
    journal.write_bytes(journal.read_bytes()[:-5])
    (found,) = verify_unfinished(copy)
    assert (found.finished, found.problems) == (2, [])


def test_the_command_checks_them(store, copy, tmp_path):
    done = synthetic.freqprep("verify", copy)
    assert done.returncode == 1 and "checked 3 of 5 shards" in done.stderr
    shutil.copytree(store / "val", copy / "val")
    done = synthetic.freqprep_json("verify", copy)
    assert done["ok"] and done["unfinished"] == ["train"]
    assert done["unfinished_shards"] == {"train": {"checked": 3, "of": 5}}
    synthetic.flip(copy / ".partial-train" / SHARD, 99)
    done = synthetic.freqprep("verify", copy)
    assert done.returncode == 4
    assert f".partial-train/{SHARD}: its hash is not the one in the journal" in done.stdout


def test_a_packing_is_checked_too(store, tmp_path, monkeypatch):
    target = tmp_path / "packed.zarr"
    monkeypatch.setattr("freqprep.pack.run._publish", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pack(PackRequest(store, target, split="val", jobs=1))
    (found,) = verify_unfinished(target)
    assert found.finished == found.shards and not found.problems
    synthetic.flip(target / ".partial-val/split/coefficients/c/0/0/0/0", 5)
    (found,) = verify_unfinished(target)
    assert len(found.problems) == 1


def test_a_number_of_images_takes_no_memory(store, tmp_path, monkeypatch, little_memory):
    """A plan of a packing states it, and nothing else does."""
    target = tmp_path / "packed.zarr"
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr("freqprep.pack.run._publish", lambda *given: 1 / 0)
        pack(PackRequest(store, target, split="val", jobs=1))
    folder = target / ".partial-val"
    plan = json.loads((folder / "plan.json").read_bytes())
    plan["attributes"] |= {"images": 2**60, "format_version": "1.2"}
    (folder / "plan.json").write_text(json.dumps(with_hash(plan)))
    entries = [PackedShard(0, 5, "0" * 64), PackedShard(2**50, 5, "0" * 64)]
    (folder / "journal.bin").write_bytes(b"".join(map(record_of, entries)))
    (found,) = verify_unfinished(target)
    assert (found.shards, found.finished, len(found.problems)) == (2**53, 2, 2)
    with pytest.raises(UsageError, match=f"another number of images: {2**60}"):
        pack(PackRequest(store, target, split="val", jobs=1, resume=True))
