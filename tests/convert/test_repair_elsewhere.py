"""Repair after kills, in a bucket, from tars and of packed stores."""

import os
import re
import shlex
import shutil
import signal
from pathlib import Path

import large_forms
import pytest
import synthetic
from interruptions import state, under_way, wait_for_changes

from freqprep.convert.repair import Repaired, RepairRequest, repair
from freqprep.engines import Workers
from freqprep.errors import StoreLockedError, UsageError
from freqprep.pack.request import PackRequest
from freqprep.pack.run import pack
from freqprep.storage.paths import as_path
from freqprep.store.lock import store_lock
from freqprep.store.verify import verify


def repaired(store, source) -> Repaired:
    return repair(RepairRequest(as_path(store), source, workers=Workers(1)))


def damage_all(store: Path) -> None:
    for shard in range(5):
        (store / f"train/coefficients/c/{shard}/0/0/0").write_bytes(b"damaged")


@pytest.mark.parametrize(("changes", "jobs"), [(1, "1"), (4, "2"), (9, "1")])
def test_killed_and_run_again(many, expected, tmp_path, changes, jobs):
    store = tmp_path / "out.zarr"
    for name, data in expected.items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(data)
    damage_all(store)
    with under_way("repair", store, "--source", many, "--jobs", jobs) as process:
        wait_for_changes(process, store, changes)
        os.killpg(process.pid, signal.SIGKILL)
    for name, data in synthetic.contents(store).items():
        if not name.startswith(".repair-"):
            assert data in (expected[name], b"damaged"), name
    found = repaired(store, many)
    assert not found.verified.problems
    assert synthetic.contents(store) == expected
    assert all(".repair" not in path for path, _ in state(store))


def test_a_store_in_a_bucket(source, store, place):
    expected = synthetic.contents(store)
    made = synthetic.make(source, place)
    (made / "train/coefficients/c/1/0/0/0").write([b"damaged"])
    for name in ("zarr.json", "train/zarr.json", "train/label/c/0", "train/size/zarr.json"):
        (made / name).delete()
        assert not repaired(made, source).verified.problems, name
    assert {name: (made / name).read_bytes() for name, _ in made.files()} == expected
    (made / "train/manifest.json").delete()
    with store_lock(made), pytest.raises(StoreLockedError):
        repaired(made, source)
    assert not repaired(made, source).verified.problems
    assert {name: (made / name).read_bytes() for name, _ in made.files()} == expected


def test_a_packed_store_is_packed_again(store, source, tmp_path):
    target = tmp_path / "packed.zarr"
    pack(PackRequest(store=store, target=target, channels="paper-6"))
    before = synthetic.contents(target)
    (target / "train/zarr.json").unlink()
    assert not repaired(target, None).verified.problems
    assert synthetic.contents(target) == before
    (target / "train/coefficients/c/0/0/0/0").unlink()
    (one,) = repaired(target, source).repairs
    assert isinstance(one.error, UsageError)
    (command,) = re.findall("`(freqprep pack .*)`", str(one.error))
    assert "--channels paper-6 --level 1 --overwrite" in command
    done = synthetic.freqprep(*shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    assert synthetic.contents(target) == before
    (target.with_name("packed.zarr.log")).unlink()
    (target / "val/label/c/0").unlink()
    (one,) = repaired(target, None).repairs
    assert "freqprep pack STORE_IT_WAS_PACKED_FROM" in str(one.error)


def test_archives_of_samples(tmp_path):
    import io
    import tarfile

    source = tmp_path / "shards"
    source.mkdir()
    with tarfile.open(source / "train-000.tar", "w") as tar:
        for index in range(140):
            for suffix, data in (("jpg", synthetic.picture(index)), ("cls", b"%d" % (index % 3))):
                member = tarfile.TarInfo(f"{index:04}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    made = synthetic.make(source, tmp_path / "out.zarr", kind="webdataset", size=16)
    before = synthetic.contents(made)
    for name in ("coefficients/c/1/0/0/0", "label/c/0"):
        (made / "train" / name).unlink()
    copy = Path(shutil.copytree(source, tmp_path / "moved"))
    assert not repaired(made, copy).verified.problems
    assert synthetic.contents(made) == before
    assert not verify(made, Workers(1)).problems


def test_a_split_whose_shards_are_listed_in_parts(many, tmp_path, monkeypatch):
    large_forms.lower_limits(monkeypatch, tmp_path / "tmp")
    made = synthetic.make(many, tmp_path / "out.zarr", size=16)
    before = synthetic.contents(made)
    for name in ("shards/1", "zarr.json", "manifest.json", "key/zarr.json"):
        (made / "train" / name).unlink()
        assert not repaired(made, None).verified.problems, name
        assert synthetic.contents(made) == before
    for name in ("coefficients/c/4/0/0/0", "shards/1", "label/c/1"):
        (made / "train" / name).write_bytes(b"")
    assert not repaired(made, many).verified.problems
    assert synthetic.contents(made) == before
