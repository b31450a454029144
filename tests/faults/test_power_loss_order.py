"""A power loss at any moment: a journal never names a shard that is not on disk, nor a store."""

import os
import shutil
import subprocess

import pytest
import synthetic
from faults.durability import STRACE, Disk, calls


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> tuple:
    """A conversion's system calls, and its store."""
    if shutil.which("strace") is None:
        pytest.skip("no strace (Debian's package strace)")
    folder = tmp_path_factory.mktemp("traced")
    source = synthetic.image_folder(folder / "images", {"train": 300}, corrupt=2)
    store, log = folder / "place" / "out.zarr", folder / "strace.txt"
    words = ["convert", "imagefolder", source, store, "--size", "32", "--jobs", "1"]
    line = [*STRACE, "-o", log, *synthetic.command(*words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if not store.is_dir() and "ptrace" in done.stderr:
        pytest.skip(f"tracing is not permitted here: {done.stderr[:100]}")
    assert done.returncode == 3, done.stderr
    lines = log.read_text(errors="replace").splitlines()
    assert os.path.exists(store / "train/manifest.json")
    return store, lines


def test_what_is_named_is_on_disk_before(traced):
    store, lines = traced
    disk = Disk(store).replay(calls(lines))
    assert disk.broken == []
    assert (disk.shards, disk.published) == (3, 1)


@pytest.mark.parametrize(
    "path", ["/c/1/0/0", "writing-0-", "/split>", "journal", "-train>", "/place>"]
)
def test_a_sync_that_is_left_out_is_seen(traced, path):
    store, lines = traced
    fewer = [line for line in lines if not ("fsync(" in line and path in line)]
    assert len(fewer) < len(lines)
    assert Disk(store).replay(calls(fewer)).broken
