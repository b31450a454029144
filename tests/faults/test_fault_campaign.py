"""Some faults of every kind, and planted ones; ``make faults`` draws many more."""

import random
import subprocess
import tempfile
from pathlib import Path

import pytest
from faults.campaign import TARGETS, campaign
from faults.sandbox import Sandbox, has_mounts
from faults.tally import PROCESSES, SAID, SEGMENTS, WRONG, Finding, Tally, table
from faults.works import Kit

pytestmark = pytest.mark.long

# Seeds of trials that inject a fault into a conversion of the same folder, which is made once.
TRIALS = {
    "kill: folder": (1,),
    "short of: full disk": (2,),
    "short of: permission lost": (2,),
    "changed sources": (2,),
    "lying server": (0,),
    "two writers": (0,),
    "clocks": (1,),
}


@pytest.fixture(scope="module")
def kit():
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        Path(name).chmod(0o755)  # for commands of another user
        with Kit(Path(name)) as made:
            yield made


@pytest.mark.parametrize("target", TRIALS)
def test_a_fault_is_recovered_from_or_named(kit, target):
    if target == "short of: full disk" and not has_mounts():
        pytest.skip("mounting a small disk is not permitted here")
    tally = campaign(kit, target, TRIALS[target])
    assert tally.first == {}
    assert tally.injected.total() > 0 and tally.recovered + tally.named > 0


PLANTED = {
    "import time; raise KeyError": SAID,
    "import os, sys, time\nif os.fork() == 0:\n  time.sleep(600)": PROCESSES,
}


@pytest.mark.parametrize("program", PLANTED)
def test_what_a_command_leaves_is_a_finding(tmp_path, monkeypatch, program):
    monkeypatch.setattr("faults.sandbox.SECONDS_TO_DISAPPEAR", 0.5)
    with Sandbox(tmp_path / "box") as box:
        with pytest.raises(Finding) as raised:
            box.run(program=program)
        assert raised.value.kind == PLANTED[program]
        assert box.processes() == []


def test_a_segment_that_stays_is_a_finding(tmp_path):
    if not has_mounts():
        pytest.skip("a /dev/shm of its own is not permitted here")
    with Sandbox(tmp_path / "box") as box:
        box.run(program="open('/dev/shm/left', 'w').close()")
        with pytest.raises(Finding, match="such as left") as raised:
            box.check_segments("after")
    assert raised.value.kind == SEGMENTS


def test_a_changed_byte_of_the_result_is_a_finding(kit):
    work = kit.work("folder")
    with kit.sandbox() as box:
        ended = box.run(*work.command(box, 1))
        work.check(box, ended)
        path = box.out / "out.zarr/train/label/c/0"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        with pytest.raises(Finding, match="label") as raised:
            work.check(box, ended)
        assert raised.value.kind == WRONG
        with pytest.raises(Finding, match="not whole"):
            work.check_readable(box)


def test_trials_are_functions_of_their_seed_and_are_counted(monkeypatch):
    drawn = []

    def trial(_kit, chance: random.Random, tally: Tally) -> None:
        drawn.append(chance.random())
        tally.injected["planted"] += 1
        if len(drawn) % 2:
            raise Finding(WRONG, "planted")

    class NoKit:
        def clear(self) -> None:
            pass

    monkeypatch.setitem(TARGETS, "planted", trial)
    first, again = (campaign(NoKit(), "planted", range(5, 7)) for _ in range(2))
    assert drawn[:2] == drawn[2:]
    assert first == again and first.first == {WRONG: (5, "planted")}
    assert "| planted | 2 | 2 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |" in table([("planted", first)])


def test_no_mounts_are_left_behind(tmp_path):
    before = Path("/proc/self/mounts").read_text()
    with Sandbox(tmp_path / "box") as box:
        if has_mounts():
            box.mount_disk(64)
            (box.out / "file").write_bytes(bytes(100))
            assert subprocess.run(["ls", tmp_path / "box/out"], capture_output=True).stdout == b""
        assert Path("/proc/self/mounts").read_text() == before
