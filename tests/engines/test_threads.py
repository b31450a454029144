"""Threads of one process: each gets what it would get alone, and leaves the process as it was."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import local_tasks
import numpy as np
import pytest
import synthetic
from in_threads import SECONDS, together
from PIL import Image, ImageFile

from freqprep.convert.planning import discover, plan_split
from freqprep.convert.request import Request
from freqprep.convert.shard_task import ImageFiles, ShardTask, convert_shard
from freqprep.engines import Workers
from freqprep.engines import local as engines
from freqprep.engines.process_wide import Held, warnings_ignored
from freqprep.errors import ImageDefect, StoreLockedError
from freqprep.images.decode import decode
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.storage.disk import write_parts
from freqprep.store.lock import store_lock
from freqprep.store.verify import verify

# --- conversions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> list[Path]:
    """Two folders of different images, three shards each, some corrupt."""
    root = tmp_path_factory.mktemp("sources")
    return [
        synthetic.image_folder(root / "one", {"train": 260}, corrupt=5),
        synthetic.image_folder(root / "two", {"val": 30, "train": 290}, corrupt=3),
    ]


@pytest.fixture(scope="module")
def alone(sources, tmp_path_factory) -> list[str]:
    """The hash of each one's store, made one after the other."""
    folder = tmp_path_factory.mktemp("alone")
    return [synthetic.digest(synthetic.make(s, folder / f"{s.name}.zarr")) for s in sources]


@pytest.mark.parametrize("jobs", [1, 2])
def test_conversions_in_threads_give_the_bytes_of_conversions_in_turn(
    sources, alone, tmp_path, jobs
):
    stores = together(
        *(lambda s=s: synthetic.make(s, tmp_path / f"{s.name}.zarr", jobs=jobs) for s in sources)
    )
    assert [synthetic.digest(store) for store in stores] == alone
    checked = together(*(lambda store=store: verify(store, Workers(jobs)) for store in stores))
    assert [(found.images, found.problems) for found in checked] == [(260, ()), (320, ())]


@pytest.fixture(scope="module")
def shard_tasks(sources, tmp_path_factory) -> Callable[[str], list[ShardTask]]:
    """Makes the tasks of 12 shards: of both sources, two sizes and two precisions."""

    def make(name: str) -> list[ShardTask]:
        tasks = []
        for number in range(4):
            source = sources[number % 2]
            precision = PRECISIONS["int16" if number in (1, 2) else "int8"]
            options = {"size": 24 + 8 * (number // 2), "precision": precision, "seed": number}
            request = Request("imagefolder", source, Path(), split="train", **options)
            found = discover(request)
            plan = plan_split(request, found.listings["train"], found.classes, found.classes)
            for shard in range(plan.shards):
                rows = plan.shard_rows(shard)
                files = ImageFiles.of_rows(source, plan, rows)
                folder = tmp_path_factory.mktemp(name)
                made = plan.attributes
                task = ShardTask(
                    shard, rows.start, files, made.encoding, False, made.level, folder, folder
                )
                tasks.append(task)
        return tasks

    return make


def test_shards_made_by_threads_are_those_made_in_turn(shard_tasks):
    expected = [convert_shard(task).sha256 for task in shard_tasks("turn")]
    with ThreadPoolExecutor(6) as pool:
        found = [result.sha256 for result in pool.map(convert_shard, shard_tasks("threads"))]
    assert len(set(expected)) == len(expected) == 12
    assert found == expected


def test_no_memory_for_shards_is_kept_after_a_conversion(sources, tmp_path):
    tracemalloc.start()
    try:
        synthetic.make(sources[0], tmp_path / "out.zarr", size=512)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    buffer = 192 * 128 * 64 * 64
    assert most > buffer > 4 * held


def test_a_store_has_one_writer_among_threads_too(sources, tmp_path):
    store = tmp_path / "out.zarr"
    with store_lock(store), pytest.raises(StoreLockedError, match=f"process {os.getpid()}"):
        together(lambda: synthetic.make(sources[0], store))
    assert not store.exists()


def test_a_conversion_in_a_thread_leaves_signals_alone(sources, tmp_path):
    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)

    def state() -> tuple:
        handlers = [signal.getsignal(number) for number in watched]
        return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def inside() -> bool:
        before = state()
        synthetic.make(sources[1], tmp_path / "out.zarr", jobs=2, split="val")
        return state() == before

    before = state()
    assert together(inside) == [True]
    assert state() == before


# --- workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_run_that_fails_ends_no_workers_of_another_thread(tmp_path, jobs):
    fifos = [str(tmp_path / name) for name in "ab"]
    for fifo in fifos:
        os.mkfifo(fifo)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: list(engines.run(local_tasks.read, fifos, 2)))
        with open(fifos[0], "wb") as one, open(fifos[1], "wb") as two:  # once workers read them
            with pytest.raises(ZeroDivisionError):
                list(engines.run(local_tasks.fail, range(9), jobs))
            one.write(b"four")
            two.write(b"four")
        assert other.result(SECONDS) == [4, 4]


def test_workers_serve_the_next_run_and_only_one_at_a_time():
    def pids(jobs: int) -> set[int]:
        return set(engines.run(local_tasks.process_id, range(40), jobs))

    first = pids(2)
    assert pids(2) <= first and os.getpid() not in first
    one, other = together(lambda: pids(2), lambda: pids(2))
    assert not one & other
    assert not pids(3) & (one | other)


def test_workers_have_the_environment_of_now(monkeypatch):
    """Credentials of a bucket may be set between two runs."""
    for value in ("one", "two"):
        monkeypatch.setenv("FREQPREP_TEST", value)
        assert set(engines.run(local_tasks.variable, range(9), 2)) == {value}


def test_a_spare_worker_that_died_is_not_asked_again():
    pids = set(engines.run(local_tasks.process_id, range(40), 2))
    spare = engines._spare._kept.pool
    os.kill(next(iter(pids)), signal.SIGKILL)
    spare._executor_manager_thread.join(SECONDS)  # it has seen it
    assert not set(engines.run(local_tasks.process_id, range(40), 2)) & pids


def test_a_process_that_may_have_no_children_does_the_work_itself():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(local_tasks.with_two_jobs, [0]) == [True]


BLAS = """
import threading
from numpy import linalg
from threadpoolctl import threadpool_info
from freqprep.engines import local as engines

def blas(_=0):
    return {library["num_threads"] for library in threadpool_info()}

inside, first_out = threading.Barrier(2), threading.Event()

def second():
    def work(_):
        inside.wait(300)
        first_out.wait(300)
    list(engines.run(work, [0], 1))

if __name__ == "__main__":
    print(blas())
    print(*engines.run(blas, range(2), 1), *engines.run(blas, range(2), 2))
    thread = threading.Thread(target=second)
    print(*engines.run(lambda _: (thread.start(), inside.wait(300)) and blas(), [0], 1))
    first_out.set()
    thread.join()
    print(blas())
"""


def test_blas_has_one_thread_at_work_and_afterwards_as_many_as_before(tmp_path):
    (tmp_path / "blas.py").write_text(BLAS)
    done = subprocess.run(
        [sys.executable, tmp_path / "blas.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        timeout=SECONDS,
        check=False,
    )
    before, alone, shared, after = done.stdout.splitlines()
    assert alone == "{1} {1} {1} {1}" and shared == "{1}"
    assert after == before
    if before == "{1}":
        pytest.skip("BLAS has one thread here, whatever it is told")


# --- what the process has once --------------------------------------------------------------------


def test_a_setting_holds_from_the_first_thread_to_the_last():
    value = ["the caller's"]

    @contextmanager
    def setting() -> Iterator[None]:
        before, value[0] = value[0], "ours"
        try:
            yield
        finally:
            value[0] = before

    held = Held(setting)
    turn = [threading.Event() for _ in range(4)]
    seen = []

    def first() -> None:
        with held:
            turn[0].set()
            turn[1].wait(SECONDS)
            seen.append(value[0])
        turn[2].set()

    def second() -> None:
        turn[0].wait(SECONDS)
        with held:
            turn[1].set()
            turn[2].wait(SECONDS)  # the first has left
            seen.append(value[0])

    for _ in range(2):
        for event in turn:
            event.clear()
        together(first, second)
        assert seen == ["ours", "ours"] and value == ["the caller's"]
        seen.clear()


def test_a_setting_that_fails_is_not_held():
    fails = [True]

    @contextmanager
    def setting() -> Iterator[None]:
        if fails[0]:
            raise OSError("no")
        yield

    held = Held(setting)
    with pytest.raises(OSError, match="no"), held:
        pass
    fails[0] = False
    with held:
        pass


def test_decoding_in_threads_leaves_the_callers_warnings():
    data = synthetic.picture(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        before = list(warnings.filters)
        together(*[lambda: [decode(data) for _ in range(50)]] * 4)
        assert list(warnings.filters) == before
        with warnings_ignored:
            warnings.warn("not an error here", UserWarning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("but here", UserWarning, stacklevel=1)


def test_what_the_caller_set_in_pillow_changes_no_image(monkeypatch):
    image = synthetic.pixels(1, 64, 64)
    whole = synthetic.encoded(image, "WEBP", lossless=True)
    torn = synthetic.encoded(image, "BMP")[:-2000]
    expected = decode(whole).pixels.copy()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert np.array_equal(decode(whole).pixels, expected)
    with pytest.raises(ImageDefect, match="corrupt"):
        decode(torn)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True and Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_are_written_as_the_umask_says_without_touching_it(tmp_path, monkeypatch, umask):
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patch:
            patch.delattr(os, "umask")  # asking for it is setting it, for all threads
            write_parts(tmp_path / "file", [b"data"], tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask
    assert os.listdir(tmp_path) == ["file"]
