"""Commands that start a cluster of their own: workers killed, Ctrl-C, nothing left behind."""

import os
import signal
import subprocess
from pathlib import Path

import image_tables
import psutil
import pytest
import synthetic
from in_threads import SECONDS
from interruptions import journal_lines, under_way, wait_for_a_shard, wait_until

import freqprep

IMAGES = 700
PACKAGES = {"dask": "distributed", "ray": "ray"}


@pytest.fixture(scope="module", params=[("dask", "imagefolder"), ("ray", "parquet")])
def pair(request) -> tuple[str, str]:
    """An engine and a kind of source: `test_clusters` converts every kind on either engine."""
    pytest.importorskip(PACKAGES[request.param[0]])
    return request.param


@pytest.fixture(scope="module")
def many(pair, tmp_path_factory) -> Path:
    """As many images as fill 6 shards."""
    make = {"imagefolder": synthetic.image_folder, "parquet": image_tables.image_tables}[pair[1]]
    return make(tmp_path_factory.mktemp("many"), {"train": IMAGES}, corrupt=5)


@pytest.fixture(scope="module")
def expected(pair, many, tmp_path_factory) -> str:
    """The hash of the store that this machine makes."""
    store = tmp_path_factory.mktemp("whole") / "out.zarr"
    return synthetic.digest(synthetic.make(many, store, kind=pair[1]))


def started(process: subprocess.Popen) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def is_worker(process: psutil.Process) -> bool:
    line = " ".join(process.cmdline())
    return "multiprocessing.spawn" in line or line.startswith(("ray::perform", "ray::IDLE"))


def test_ctrl_c_and_a_killed_worker_in_mid_conversion(pair, many, expected, tmp_path, monkeypatch):
    engine, kind = pair
    # A scheduler looks for results of a worker that has died for 30 seconds by default.
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "2s")
    store = tmp_path / "out.zarr"
    words = ["convert", kind, many, store, "--size", "32"]
    words += ["--engine", engine, "--jobs", "2"]
    with under_way(*words) as process:
        wait_for_a_shard(process, store)
        family = started(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    assert "--resume" in errors and "Traceback" not in errors
    assert not list(freqprep.open_store(store))
    assert not list((store / ".partial-train").glob("tmp-*"))
    _, alive = psutil.wait_procs(family, timeout=SECONDS)
    assert not alive
    done = journal_lines(store)
    with under_way(*words, "--resume") as process:
        wait_until(process, lambda: journal_lines(store) > done)
        family = started(process)
        workers = [child for child in family if is_worker(child)]
        workers[0].kill()
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 3, errors  # finished, with rejected images
    assert "Traceback" not in errors
    assert synthetic.digest(store) == expected
    _, alive = psutil.wait_procs(family, timeout=SECONDS)
    assert not alive
