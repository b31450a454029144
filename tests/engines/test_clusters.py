"""Clusters of Dask and Ray: the results of local workers, whatever happens to some of theirs."""

import contextlib
import dataclasses
import os
import pickle
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cluster_tasks
import image_tables
import numpy as np
import psutil
import pytest
import synthetic
from in_threads import SECONDS

import freqprep
from freqprep import engines
from freqprep.engines import Places, Workers
from freqprep.engines.cluster import group_size
from freqprep.engines.remote import Needs, perform, versions
from freqprep.errors import ClusterError, UsageError, WorkerDiedError
from freqprep.importance.collect import collect
from freqprep.pack import PackRequest, pack
from freqprep.storage.paths import as_path
from freqprep.store.verify import verify
from freqprep.store.writer import PartialSplit

ROOT = Path(__file__).resolve().parents[2]


# --- commands -------------------------------------------------------------------------------------


def options(workers: Workers) -> dict:
    return {"jobs": workers.jobs, "engine": workers.engine, "address": workers.address}


def test_a_cluster_converts_packs_counts_and_checks_as_this_machine_does(
    cluster, source, store, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where no worker is
    made = synthetic.make(source, Path("made.zarr"), **options(cluster))
    assert synthetic.digest(made) == synthetic.digest(store)
    assert not list(made.glob(".*"))
    assert verify(made, cluster) == verify(store, Workers(1))
    train = freqprep.open_store(made)["train"]
    mine, there = (collect(train, workers).sums for workers in (Workers(1), cluster))
    for field in dataclasses.fields(mine):
        assert np.array_equal(getattr(mine, field.name), getattr(there, field.name))
    pack(PackRequest(made, Path("packed.zarr"), channels="paper-48", **options(cluster)))
    pack(PackRequest(made, Path("local.zarr"), channels="paper-48", jobs=1))
    assert synthetic.digest(Path("packed.zarr")) == synthetic.digest(Path("local.zarr"))


def test_a_cluster_writes_into_a_bucket_what_this_machine_does(cluster, source, store, bucket):
    synthetic.make(source, as_path(f"{bucket.url}/out.zarr"), **options(cluster))
    assert bucket.contents("out.zarr") == synthetic.contents(store)


def test_workers_of_a_cluster_unpack_tables_for_themselves(cluster, tmp_path):
    tables = image_tables.image_tables(tmp_path / "tables", {"train": 400}, corrupt=4)
    local = synthetic.make(tables, tmp_path / "local.zarr", kind="parquet")
    made = synthetic.make(tables, tmp_path / "made.zarr", kind="parquet", **options(cluster))
    assert synthetic.digest(made) == synthetic.digest(local)


# --- tasks ----------------------------------------------------------------------------------------


def test_errors_of_tasks_are_raised_unchanged(cluster):
    with pytest.raises(ZeroDivisionError, match="30"):
        list(engines.run(cluster_tasks.fail, range(40), cluster))


def test_tasks_are_taken_as_workers_become_free(cluster):
    taken = []
    numbers = (taken.append(number) or number for number in range(40))
    for done, _ in enumerate(engines.run(cluster_tasks.process_id, numbers, cluster)):
        assert len(taken) <= done + 1 + 2 * 2


def test_two_workers_share_the_tasks(cluster):
    assert len(set(engines.run(cluster_tasks.process_id, range(200), cluster))) >= 2


@pytest.mark.parametrize(
    ("threads", "seconds", "together"),
    [(1, 0.001, 1), (2, 1, 1), (200, 1, 1), (4096, 5, 5), (4096, 1, 21), (100, 0.1, 5)],
)
def test_a_scheduler_gets_at_most_200_tasks_a_second(threads, seconds, together):
    assert group_size(threads, seconds) == together
    assert threads == 1 or threads / (seconds * together) <= 200


# --- workers that cannot do the work --------------------------------------------------------------


def refused(workers: Workers, source: Path, folder: Path) -> str:
    with pytest.raises(ClusterError) as error:
        synthetic.make(source, folder / "out.zarr", **options(workers))
    assert not (folder / "out.zarr/.partial-train/journal.jsonl").read_bytes()
    return str(error.value)


def test_a_worker_without_freqprep(worker, source, tmp_path):
    (tmp_path / "freqprep.py").write_text("raise ModuleNotFoundError('none', name=__name__)\n")
    with worker(tmp_path) as workers:
        text = refused(workers, source, tmp_path)
    assert "has no freqprep" in text and "install it there" in text


def test_a_worker_with_another_version(worker, source, tmp_path):
    for name, version in (("freqprep", "0.0.1"), ("numcodecs", "0.0.2")):
        other = tmp_path / f"{name}-{version}.dist-info"
        other.mkdir()
        (other / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        with worker(tmp_path, ROOT) as workers:
            text = refused(workers, source, tmp_path)
        assert f"it has {name} {version}, this process" in text and "same versions" in text
        shutil.rmtree(other)
        shutil.rmtree(tmp_path / "out.zarr")


RAY_WORKERS = """
import sys
import ray
from freqprep import engines
from freqprep.errors import ClusterError

for path in sys.argv[2:]:
    environment = {"env_vars": {"PYTHONPATH": path}}
    quiet = {"log_to_driver": False, "configure_logging": False}
    ray.init(sys.argv[1], runtime_env=environment, **quiet)
    try:
        list(engines.run(len, [()], engines.Workers(engine="ray")))
    except ClusterError as error:
        print(error)
    ray.shutdown()
"""


def test_workers_of_ray_without_freqprep_or_with_another(ray_cluster, tmp_path):
    import ray

    address = ray.get_runtime_context().gcs_address
    none, other = tmp_path / "none", tmp_path / "other"
    (other / "freqprep-0.0.1.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: freqprep\nVersion: 0.0.1\n"
    (other / "freqprep-0.0.1.dist-info/METADATA").write_text(metadata)
    none.mkdir()
    (none / "freqprep.py").write_text("raise ModuleNotFoundError('none', name=__name__)\n")
    (tmp_path / "work.py").write_text(RAY_WORKERS)
    paths = [none, os.pathsep.join((str(other), str(ROOT)))]
    words = [sys.executable, tmp_path / "work.py", address, *paths]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    first, second = done.stdout.splitlines()
    assert "has no freqprep" in first and "install it there" in first
    assert "it has freqprep 0.0.1, this process" in second and "same versions" in second


@pytest.fixture
def hiding() -> Callable[[Path], tuple[str, ...]]:
    """Words that begin a command for which a folder is empty."""
    isolated = ("unshare", "--user", "--map-root-user", "--mount")
    script = 'mount -t tmpfs none "$0" && exec "$@"'
    try:
        possible = not subprocess.run([*isolated, "true"], check=False).returncode
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("folders cannot be hidden from a process here")
    return lambda folder: (*isolated, "sh", "-c", script, str(folder))


def test_a_worker_that_does_not_see_the_source(worker, hiding, source, tmp_path):
    with worker(ROOT, words=hiding(source)) as workers:
        text = refused(workers, source, tmp_path)
    assert f"does not see {source}" in text and "mount it there" in text


def test_a_worker_that_does_not_see_the_store(worker, hiding, source, tmp_path):
    with worker(ROOT, words=hiding(tmp_path)) as workers:
        text = refused(workers, source, tmp_path)
    assert "does not see the folder of the store" in text and "mount it there" in text


def test_folders_are_open_to_whom_the_store_is(source, tmp_path):
    """Workers may be of another user, of the group of the store's folder."""
    store = tmp_path / "out.zarr"
    store.mkdir()
    store.chmod(0o2775)
    partial = PartialSplit(store, "train")
    partial.start()
    with partial.aside() as aside:
        modes = {stat.S_IMODE(folder.stat().st_mode) for folder in (aside, partial.split_folder)}
    assert modes == {0o2775}


def test_a_worker_that_comes_later_is_checked_before_it_works(tmp_path):
    """The check that goes with each task: one after the first has nobody to ask it before."""
    needs = Needs(versions(), (str(tmp_path),), str(tmp_path), "seen")
    work = pickle.dumps((cluster_tasks.process_id, [0]))
    assert perform(needs, work)[0] == "unfit"
    (tmp_path / "seen").touch()
    other = needs._replace(nonce="seen-2", versions=(("python", "2.7"),))
    assert perform(other, work)[2] == f"it has python {versions()[0][1]}, this process 2.7"
    again = needs._replace(reads=())
    state, _, data = perform(again, work)
    assert state == "done" and pickle.loads(data)[0] == [os.getpid()]
    assert os.listdir(tmp_path) == ["seen"]


def test_a_worker_that_lacks_a_file_by_its_host(cluster, tmp_path):
    gone = tmp_path / "gone"
    with pytest.raises(ClusterError, match=f"the worker on .* does not see {gone}"):
        list(engines.run(cluster_tasks.process_id, range(4), cluster, Places((gone,))))


def test_a_cluster_without_workers(scheduler):
    with pytest.raises(ClusterError, match="has no workers"):
        list(engines.run(cluster_tasks.process_id, range(4), Workers(None, "dask", scheduler)))


# --- workers that end -----------------------------------------------------------------------------
# Last, for Dask does not begin every worker again that ends while it begins.


def tasks(folder: Path, deaths: dict[int, int]) -> list[cluster_tasks.Task]:
    return [cluster_tasks.Task(shard, deaths.get(shard, 0), folder) for shard in range(20)]


def test_tasks_of_lost_workers_are_done_again(cluster, tmp_path):
    found = engines.run(cluster_tasks.work, tasks(tmp_path, {3: 1, 11: 1}), cluster)
    assert sorted(found) == list(range(20))
    assert (tmp_path / "died-3").read_bytes() == (tmp_path / "died-11").read_bytes() == b"."


def test_a_task_that_ends_every_worker_is_named(cluster, tmp_path):
    with pytest.raises(WorkerDiedError, match=r"shard [\d, ]*5[\d, ]* has no result.*workers died"):
        list(engines.run(cluster_tasks.work, tasks(tmp_path, {5: 100}), cluster))


def test_tasks_under_way_end_with_a_run_on_a_connection_of_the_application(ray_cluster, tmp_path):
    workers, file = Workers(engine="ray"), tmp_path / "waits"
    with pytest.raises(ZeroDivisionError):
        list(
            engines.run(cluster_tasks.wait_for_ever_or_fail, [(file, True), (file, False)], workers)
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(file.read_text())).wait(SECONDS)
    assert sorted(engines.run(len, [(), (1,)], workers)) == [0, 1]


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "address"), [("dask", "tcp://127.0.0.1:1"), ("ray", "127.0.0.1:1")]
)
def test_nothing_at_an_address(engine, address, store):
    pytest.importorskip({"dask": "distributed"}.get(engine, engine))
    soon = "from freqprep.engines import dask; dask._SECONDS_TO_CONNECT = 0.2; "
    words = ["verify", store, "--engine", engine, "--address", address]
    done = synthetic.in_a_process(*words, program=soon + synthetic.MAIN)
    assert done.returncode == 1 and f"answers at {address}" in done.stderr
    assert not done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((None, "dusk"), "unknown engine 'dusk'; did you mean dask"),
        ((0,), "--jobs must be at least 1, got 0"),
        ((None, "local", "tcp://a:1"), "--address tcp://a:1 without a cluster; add --engine dask"),
        ((4, "dask", "tcp://a:1"), "--jobs 4 with --address tcp://a:1"),
    ],
)
def test_workers_that_contradict_themselves(given, text):
    with pytest.raises(UsageError, match=text):
        Workers(*given)


def test_no_address(dask_cluster):
    with pytest.raises(UsageError, match="--address nowhere is not an address"):
        list(engines.run(cluster_tasks.process_id, range(4), Workers(None, "dask", "nowhere")))
