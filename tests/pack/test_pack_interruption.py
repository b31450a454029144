"""Whatever ends a packing early, --resume comes to the store that was never interrupted."""

import itertools
import os
import random
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import synthetic
from interruptions import (
    journal_lines,
    leave_no_room,
    under_way,
    wait_for_a_shard,
    wait_for_changes,
    wait_until,
)

import freqprep
from freqprep.errors import DiskFullError
from freqprep.pack import PackRequest, pack
from freqprep.spectrum.channels import Selection
from freqprep.store.selections import save_selection

IMAGES = 900
KILLS = 4
# Most often the whole group, once its head alone: the workers are orphans.
WAYS = [(1, os.killpg), (2, os.killpg), (1, os.killpg), (2, os.kill)]
OPTIONS = {"level": 17, "channels": "paper-48"}


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """A store of 8 shards, with a saved selection."""
    folder = tmp_path_factory.mktemp("many")
    source = synthetic.image_folder(folder / "source", {"train": IMAGES}, corrupt=5)
    store = synthetic.make(source, folder / "many.zarr")
    save_selection(store, Selection((3, 0), "mine"), {"by": "energy"})
    return store


@pytest.fixture(scope="module")
def expected(many, tmp_path_factory) -> str:
    """The packed store's hash when nothing interrupts."""
    target = tmp_path_factory.mktemp("whole") / "new.zarr"
    pack(PackRequest(many, target, jobs=1, **OPTIONS))
    return synthetic.digest(target)


def packing(
    many: Path, target: Path, jobs: int, *options: str
) -> AbstractContextManager[subprocess.Popen]:
    words = ["pack", many, target, "--level", "17", "--channels", "paper-48"]
    return under_way(*words, "--jobs", str(jobs), *options)


def resume(many: Path, target: Path) -> None:
    pack(PackRequest(many, target, jobs=1, resume=True, **OPTIONS))


@pytest.mark.long
def test_killed_many_times_at_random_moments(many, expected, tmp_path):
    dice, ways = random.Random(0), itertools.cycle(WAYS)
    kills = number = 0
    while kills < KILLS:
        target = tmp_path / f"{number}.zarr"
        number += 1
        options: list[str] = []
        killed = True
        while killed and kills < KILLS:
            jobs, kill = next(ways)
            with packing(many, target, jobs, *options) as process:
                if wait_for_changes(process, target, dice.randrange(1, 20)):
                    kill(process.pid, signal.SIGKILL)
                    kills += 1
                _, errors = process.communicate()
            killed = process.returncode == -signal.SIGKILL
            assert killed or process.returncode == 0, errors
            if (target / "zarr.json").is_file():
                assert all(len(split) == IMAGES for split in freqprep.open_store(target).values())
            options = ["--resume"]
        resume(many, target)
        assert synthetic.digest(target) == expected
        assert [path.name for path in target.glob(".*")] == [".selections"]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("deliver", "send"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)]
)
def test_an_interrupt_is_exit_130_and_resumable(many, expected, tmp_path, jobs, deliver, send):
    target = tmp_path / "new.zarr"
    with packing(many, target, jobs) as process:
        wait_for_a_shard(process, target)
        # A terminal's Ctrl-C reaches the whole group.
        deliver(process.pid, send)
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "--resume" in errors and "Traceback" not in errors
    assert output == ""
    assert not list(freqprep.open_store(target))
    assert not list((target / ".partial-train").glob("tmp-*"))
    assert not target.with_name("new.zarr.lock").exists()
    resume(many, target)
    assert synthetic.digest(target) == expected


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_room_for_a_shard_is_named_and_resumable(many, expected, tmp_path, jobs):
    target = tmp_path / "new.zarr"
    with packing(many, target, jobs) as process:
        wait_for_a_shard(process, target)
        leave_no_room(process)
        _, errors = process.communicate()
    assert process.returncode == 1, errors
    assert "MB free" in errors and "--resume" in errors and "Traceback" not in errors
    assert not list(freqprep.open_store(target))
    resume(many, target)
    assert synthetic.digest(target) == expected


@pytest.mark.parametrize("stage", ["root", "plan", "journal", "arrays", "selections"])
def test_no_room_at_any_stage_is_named_and_resumable(many, expected, tmp_path, monkeypatch, stage):
    target = tmp_path / "new.zarr"
    full = OSError(28, "No space left on device")
    names = {
        "root": "freqprep.store.root.sync_file",
        "plan": "freqprep.pack.run.save_attributes",
        "journal": "freqprep.store.journal.Journal.append",
        "arrays": "freqprep.store.array_writer.SplitWriter.finish",
        "selections": "freqprep.store.carried_selections.write_parts",
    }

    def fail(*_: object, **__: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(names[stage], fail)
        with pytest.raises(DiskFullError, match="--resume"):
            pack(PackRequest(many, target, jobs=1, **OPTIONS))
    resume(many, target)
    assert synthetic.digest(target) == expected


def test_a_torn_journal_and_half_written_files_are_done_again(many, expected, tmp_path):
    target = tmp_path / "new.zarr"
    with packing(many, target, 1) as process:
        wait_until(process, lambda: journal_lines(target) > 2)
        process.kill()
    partial = target / ".partial-train"
    journal = partial / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-7])
    (partial / "tmp-left").mkdir(exist_ok=True)
    (partial / "tmp-left/half").write_bytes(b"half a shard")
    resume(many, target)
    assert synthetic.digest(target) == expected


def test_resuming_a_finished_store_changes_nothing(many, expected, tmp_path):
    target = tmp_path / "new.zarr"
    for options in ({}, {"resume": True}):
        pack(PackRequest(many, target, jobs=1, **OPTIONS, **options))
        assert synthetic.digest(target) == expected
    assert len(target.with_name("new.zarr.log").read_text().splitlines()) == 1
