"""However a loader ends, its threads end too, and what was wrong is said."""

import gc
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import synthetic
from batches import CHANNELS, WINDOW_BYTES, assert_same, copied, taken, threads

import freqprep
from freqprep import Loader
from freqprep.errors import (
    CorruptStoreError,
    MissingPackageError,
    ShardMissingError,
    StoreError,
    UnknownChannelError,
    UsageError,
)
from freqprep.store.layout import shard_path

# Small stores in lanes leave out much of an epoch, which is said.
pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

LANES = {"lanes": 2, "window_bytes": 4 * WINDOW_BYTES, "batch_size": 16}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert threads() == []


@pytest.fixture
def damaged(many, tmp_path):
    """A copy of the store of many shards, to damage."""
    return next(synthetic.copies(many, tmp_path))


def test_threads_run_only_while_an_iterator_is_alive(split):
    loader = Loader(split, CHANNELS, **LANES)
    taken(loader)  # the labels are read by threads of zarr, which keeps them
    before = threading.active_count()
    iterator = iter(loader)
    assert threads() == []
    next(iterator)
    assert 1 <= len(threads()) <= 2
    for _ in iterator:
        pass
    assert threading.active_count() == before


def test_a_break_ends_the_threads(split):
    for _ in Loader(split, CHANNELS, **LANES):
        break
    assert threads() == []


def test_an_exception_of_the_consumer_ends_the_threads(split):
    with pytest.raises(ZeroDivisionError):
        for batch in Loader(split, CHANNELS, **LANES):
            batch.step // 0
    assert threads() == []


def test_close_ends_the_threads_and_the_iterator(split):
    with Loader(split, CHANNELS, **LANES) as loader:
        iterator = iter(loader)
        next(iterator)
    assert threads() == []
    with pytest.raises(UsageError, match="this iterator was ended"):
        next(iterator)
    with pytest.raises(UsageError, match="the loader is closed"):
        next(iter(loader))
    loader.close()


@pytest.mark.parametrize("cycle", [False, True])
def test_a_forgotten_iterator_ends_the_threads(split, cycle):
    loader = Loader(split, CHANNELS, **LANES)
    iterator = iter(loader)
    next(iterator)
    if cycle:
        circle = [iterator]
        circle.append(circle)
        del circle
    del loader, iterator
    gc.collect()
    assert threads() == []


def test_a_second_iterator_ends_the_first(split):
    loader = Loader(split, CHANNELS, **LANES)
    first, second = iter(loader), iter(loader)
    next(first)
    found = [copied(next(second))]
    with pytest.raises(UsageError, match="started another iterator"):
        next(first)
    assert_same([*found, *map(copied, second)], taken(Loader(split, CHANNELS, **LANES), epoch=1))
    assert loader.epoch == 2


def test_loading_a_state_ends_the_iterator_even_at_its_last_batch(split):
    loader = Loader(split, CHANNELS, **LANES)
    state = loader.state_dict()
    iterator = iter(loader)
    for _ in range(len(loader)):
        next(iterator)
    loader.load_state_dict(state)
    with pytest.raises(UsageError, match="this iterator was ended"):
        next(iterator)
    assert (loader.epoch, loader.step) == (0, 0)


@pytest.mark.parametrize("options", [{}, LANES, {"shuffle": False, "batch_size": 16}])
def test_a_damaged_shard_is_an_error_of_the_consumer(damaged, options):
    split = freqprep.open_store(damaged)["train"]
    path = shard_path(split.path, 7)
    synthetic.flip(path, 1000)
    with (
        pytest.raises(CorruptStoreError, match=f"{path} is damaged: the checksum"),
        Loader(split, CHANNELS, **options) as loader,
    ):
        taken(loader)
    assert threads() == []


def test_a_missing_shard_is_an_error_and_a_restored_one_is_read(damaged):
    split = freqprep.open_store(damaged)["train"]
    path = shard_path(split.path, 7)
    path.rename(damaged / "aside")
    loader = Loader(split, CHANNELS, batch_size=16)
    with pytest.raises(ShardMissingError, match=str(path)):
        taken(loader)
    assert threads() == []
    (damaged / "aside").rename(path)
    assert_same(taken(loader), taken(Loader(split, CHANNELS, batch_size=16)))


def test_a_split_that_was_replaced_is_refused_when_an_epoch_starts(damaged):
    split = freqprep.open_store(damaged)["train"]
    loader = Loader(split, CHANNELS, batch_size=16)
    taken(loader)
    (split.path / "label/c/0").write_bytes(b"other")
    synthetic.reseal(split.path)
    with pytest.raises(StoreError, match="was replaced after it was opened"):
        taken(loader)
    with pytest.raises(StoreError, match="was replaced after it was opened"):
        Loader(split, CHANNELS)


def test_a_split_that_is_no_longer_finished_is_refused(damaged):
    split = freqprep.open_store(damaged)["train"]
    (split.path / "manifest.json").unlink()
    with pytest.raises(StoreError, match="not a finished split"):
        Loader(split, CHANNELS)


def test_a_split_without_valid_rows_is_refused(tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 4}, corrupt=4)
    store = synthetic.make(source, tmp_path / "empty.zarr")
    with pytest.raises(StoreError, match="no valid rows: 4 images, 4 rejected"):
        Loader(freqprep.open_store(store)["train"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1, got 0"),
        ({"batch_size": 2.5}, r"batch_size must .*got 2\.5"),
        ({"batch_size": True}, "batch_size must .*got True"),
        ({"batch_size": 1295}, "no step to train: batch_size=1295, but only 1294 rows"),
        ({"threads": 0}, "threads must .*got 0"),
        ({"threads": 10**6}, "threads must be a whole number from 1 to 1024, got 1000000"),
        ({"window_bytes": 10}, "window_bytes must .*at least 16384, got 10; give bytes: 1 GiB is"),
        ({"shuffle": "no"}, "shuffle must be True or False, got 'no'"),
        ({"reuse": "no"}, "reuse must be True or False, got 'no'"),
        ({"group_by_aspect": 1}, "group_by_aspect must be True or False, got 1"),
        ({"transform": "flip"}, "transform must be a function of a batch, got 'flip'"),
        ({"lanes": 0}, "lanes must .*got 0"),
        ({"lanes": 12}, "lanes=12, and 11 shards with valid rows"),
        ({"seed": "x"}, "seed must .*got 'x'"),
        ({"seed": 2**32}, "seed must be 0 to 4294967295, got 4294967296"),
        ({"rank": 1}, "rank=1 with world_size=1"),
        ({"rank": -1}, "rank must .*got -1"),
        ({"world_size": 3}, "3 ranks cannot share batches of 256 evenly"),
        ({"lanes": 2, "world_size": 4}, "4 ranks cannot share batches of 256 from 2 lanes evenly"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"device": "meta"}, "device='meta'"),
        ({"device": "cuda:99"}, "device='cuda:99' cannot be used"),
    ],
)
def test_options_out_of_range_are_named(split, options, text):
    with pytest.raises(UsageError, match=text):
        Loader(split, CHANNELS, **options)


def test_other_wrong_arguments_are_named(split, many):
    with pytest.raises(UnknownChannelError, match="square-42"):
        Loader(split, "square-42")
    with pytest.raises(UsageError, match="a loader reads a split, not Store"):
        Loader(freqprep.open_store(many))


def test_without_torch_the_remedy_installs_it(split, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'freqprep\[train\]'"):
        Loader(split)


INTERRUPTED = """
import signal, sys, freqprep
# A shell starts what it runs in the background with this signal ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
loader = freqprep.Loader(freqprep.open_store(sys.argv[1])["train"], batch_size=16, **{options})
first = True
while True:
    for batch in loader:
        if first:
            print("begun", flush=True)
            first = False
"""


def interrupted(process: subprocess.Popen) -> str:
    """What a process writes to its end after Ctrl-C, which is pressed again if it is not met.

    Python itself loses an interrupt, once in hundreds, inside its set of threads.
    """
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=100)[1]
    raise AssertionError("three interrupts, and it still runs")


@pytest.mark.parametrize("options", [{}, {"lanes": 2, "window_bytes": 2**14}])
def test_ctrl_c_ends_the_program_at_once(many: Path, options):
    command = [sys.executable, "-c", INTERRUPTED.format(options=options), str(many)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        try:
            errors = interrupted(process)
        finally:
            process.kill()
    assert process.returncode in (-signal.SIGINT, 130)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in errors


def test_an_iterator_left_open_does_not_keep_the_program(many: Path):
    code = (
        "import sys, freqprep\n"
        "loader = freqprep.Loader(freqprep.open_store(sys.argv[1])['train'], lanes=2, batch_size=8)"
        "\niterator = iter(loader)\nprint(next(iterator).rows.shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(many)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "(8,)\n", "")


def test_reused_batches_are_overwritten_only_when_the_next_is_asked_for(split):
    with Loader(split, CHANNELS, batch_size=16, window_bytes=2**14, reuse=True) as loader:
        for batch in loader:
            before = batch.codes.clone()
            if loader.step:
                assert loader._pipeline.wait(loader.step)
            np.testing.assert_array_equal(batch.codes, before)


@pytest.mark.parametrize("reuse", [False, True])
def test_an_ended_iterator_that_is_collected_later_touches_no_other(split, reuse):
    loader = Loader(split, CHANNELS, batch_size=16, reuse=reuse)
    ended = [iter(loader)]
    for _ in range(10):
        next(ended[0])
    held = []
    for number, batch in enumerate(loader):
        if number == 9:
            ended.clear()
            gc.collect()
        held.append(batch)
        for one in [batch] if reuse else held[-6:]:
            np.testing.assert_array_equal(one.codes, split.read_codes(one.rows, CHANNELS))


def test_threads_that_cannot_be_started_are_an_error_and_none_is_left(split, monkeypatch):
    loader = Loader(split, CHANNELS, **LANES, threads=3)
    plain, started = threading.Thread.start, []

    def start(thread):
        started.append(thread)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        plain(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            next(iter(loader))
    assert threads() == []
    assert_same(taken(loader), taken(Loader(split, CHANNELS, **LANES)))
