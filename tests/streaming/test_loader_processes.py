"""Ranks come from where they are known, and a loader may travel to another process."""

import copy
import multiprocessing
import os
import pickle
import queue as queue_module
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from batches import CHANNELS, WINDOW_BYTES, assert_same, taken
from torch.utils.data import DataLoader, IterableDataset

import freqprep
from freqprep import Loader
from freqprep.errors import UsageError

pytestmark = pytest.mark.filterwarnings(
    "ignore::freqprep.streaming.misuse.DroppedRows",
    "ignore:.*use of fork:DeprecationWarning",
    "ignore:a worker process has a copy",
)

OPTIONS = {"batch_size": 16, "lanes": 2, "window_bytes": 4 * WINDOW_BYTES}


def opened(many: Path) -> freqprep.Split:
    return freqprep.open_store(many)["train"]


@pytest.fixture
def launched(monkeypatch):
    """As ``torchrun`` starts a process."""

    def launch(rank: int, size: int) -> None:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(size))

    return launch


def test_ranks_come_from_the_launcher(split, launched):
    whole = taken(Loader(split, CHANNELS, **OPTIONS))
    for rank in range(2):
        launched(rank, 2)
        found = taken(Loader(split, CHANNELS, **OPTIONS))
        assert [batch[2].tolist() for batch in found] == [
            batch[2][rank::2].tolist() for batch in whole
        ]
    assert "rank 1 of 2" in repr(Loader(split, CHANNELS, **OPTIONS))


def test_a_launcher_that_is_met_later_counts_from_the_next_epoch_on(split, launched):
    loader = Loader(split, CHANNELS, shuffle=False, batch_size=16)
    assert len(loader) == 81
    launched(1, 2)
    assert len(loader) == 40
    rows = np.flatnonzero(split.valid)
    assert next(iter(loader)).rows.tolist() == rows[16:32].tolist()


@pytest.mark.parametrize(
    "told", [{"rank": 0, "world_size": 1}, {"rank": 1}, {"rank": 0, "world_size": 4}]
)
def test_other_ranks_than_the_launchers_are_refused(split, launched, told):
    launched(0, 2)
    with pytest.raises(UsageError, match="this is process 0 of 2: rows would be read twice"):
        Loader(split, CHANNELS, **OPTIONS, **told)


def test_the_launchers_own_ranks_may_be_told(split, launched):
    launched(1, 2)
    loader = Loader(split, CHANNELS, **OPTIONS, rank=1, world_size=2)
    assert len(next(iter(loader))) == 8


def test_evaluation_may_be_of_one_process_or_of_any_group(split, launched):
    rows = np.flatnonzero(split.valid).tolist()
    launched(1, 4)
    for told, mine in (
        ({"rank": 0, "world_size": 1}, rows),
        ({"rank": 1, "world_size": 2}, [row for n, row in enumerate(rows) if n // 16 % 2 == 1]),
        ({}, [row for n, row in enumerate(rows) if n // 16 % 4 == 1]),
    ):
        loader = Loader(split, CHANNELS, batch_size=16, shuffle=False, **told)
        for copied in (loader, pickle.loads(pickle.dumps(loader))):
            assert np.concatenate([batch.rows for batch in copied]).tolist() == mine
    with pytest.raises(UsageError, match="this is process 1 of 4"):
        Loader(split, CHANNELS, batch_size=16, shuffle=False, rank=0)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_number_of_processes_without_a_rank_is_refused_once_rows_are_wanted(split, shuffle):
    options = OPTIONS if shuffle else {"batch_size": 16}
    loader = Loader(split, CHANNELS, **options, shuffle=shuffle, world_size=2)
    with pytest.raises(UsageError, match="world_size=2 was given without a rank: each process"):
        next(iter(loader))


@pytest.mark.parametrize("names", [{"WORLD_SIZE": "two"}, {"RANK": "3"}])
def test_a_broken_environment_is_named(split, monkeypatch, names):
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="cannot find each other"):
        Loader(split, CHANNELS, **OPTIONS)


def member(rank: int, store: str, folder: str, loader: Loader) -> None:
    """One process of a group; its loaders were made before there was one, and after."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    split = opened(Path(store))
    refused = 0
    for told in ({"rank": 0, "world_size": 1}, {"rank": 1 - rank, "world_size": 2}):
        try:
            Loader(split, CHANNELS, **OPTIONS, **told)
        except UsageError:
            refused += 1
    early = [batch.rows for batch in loader]
    late = [batch.rows for batch in Loader(split, CHANNELS, **OPTIONS)]
    # A worker that is spawned knows of no group; the loader it gets does. By itself it is rank 0.
    worker = DataLoader(
        Wrapped(loader), batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    spawned = [batch.rows for batch in worker] if rank == 1 else []
    np.savez(f"{folder}/{rank}.npz", early=early, late=late, spawned=spawned, refused=refused)
    torch.distributed.destroy_process_group()


class Wrapped(IterableDataset):
    """The form in which a DataLoader takes an iterable."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)


def test_ranks_come_from_the_process_group(many, tmp_path):
    split = opened(many)
    loader = Loader(split, CHANNELS, **OPTIONS)
    first, second, third = (np.stack([batch.rows for batch in loader]) for _ in range(3))
    loader.set_epoch(2)  # it is sent to the processes after two epochs
    torch.multiprocessing.spawn(member, (str(many), str(tmp_path), loader), nprocs=2)
    fourth = np.stack([batch[2] for batch in taken(Loader(split, CHANNELS, **OPTIONS), epoch=3)])
    for rank in range(2):
        found = np.load(tmp_path / f"{rank}.npz")
        assert found["early"].tolist() == third[:, rank::2].tolist()
        assert found["late"].tolist() == first[:, rank::2].tolist()
        assert found["refused"] == 2
    assert found["spawned"].tolist() == fourth[:, 1::2].tolist()
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("used", [False, True])
def test_a_loader_can_be_pickled(split, used):
    loader = Loader(split, CHANNELS, **OPTIONS)
    expected = [taken(Loader(split, CHANNELS, **OPTIONS), epoch=epoch) for epoch in range(2)]
    if used:
        iterator = iter(loader)
        next(iterator)
    copy = pickle.loads(pickle.dumps(loader))
    assert_same(taken(copy), expected[int(used)])
    if used:
        assert len(list(iterator)) == len(loader) - 1


@pytest.mark.parametrize(("method", "alive"), [("fork", False), ("fork", True), ("spawn", True)])
def test_a_dataloader_with_one_worker_gives_the_same_batches(split, method, alive):
    loader = Loader(split, CHANNELS, **OPTIONS)
    iterator = iter(loader)
    if alive:  # threads run while the worker is forked, and their locks are held now and then
        next(iterator)
    worker = DataLoader(
        Wrapped(loader), batch_size=None, num_workers=1, multiprocessing_context=method
    )
    found = list(worker)
    assert_same(
        [(b.codes.numpy(), b.labels.numpy(), b.rows, b.sizes, b.epoch, b.step) for b in found],
        taken(Loader(split, CHANNELS, **OPTIONS), epoch=int(alive)),
    )
    for batch in found:
        np.testing.assert_array_equal(batch.coefficients, split.read(batch.rows, CHANNELS))
    if alive:
        assert len(list(iterator)) == len(loader) - 1


def test_a_worker_warns_that_epochs_must_be_chosen(split, monkeypatch):
    told = type("Worker", (), {"num_workers": 1})
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: told)
    with pytest.warns(UserWarning, match=r"call loader.set_epoch\(epoch\) before each epoch"):
        next(iter(Loader(split, CHANNELS, **OPTIONS)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        next(iter(Loader(split, CHANNELS, batch_size=16, shuffle=False)))


def test_several_workers_are_refused(split):
    wrapped = Wrapped(Loader(split, CHANNELS, **OPTIONS))
    worker = DataLoader(wrapped, batch_size=None, num_workers=2, multiprocessing_context="fork")
    with pytest.raises(UsageError, match="each of 2 worker processes would give all batches"):
        list(worker)


def first_rows(loader: Loader, answers) -> None:
    answers.put(next(iter(loader)).rows.tolist())


def test_a_fork_while_threads_run_does_not_hang(split):
    """The locks of threads that are not there would be waited for for ever."""
    loader = Loader(split, CHANNELS, threads=3, batch_size=4, lanes=2, window_bytes=2**14)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    for number, _ in enumerate(loader):
        if number % 60 == 0:
            process = context.Process(target=first_rows, args=(loader, answers))
            process.start()
            rows = answers.get(timeout=300)
            process.join(300)
            assert process.exitcode == 0
            expected = Loader(split, CHANNELS, batch_size=4, lanes=2, window_bytes=2**14)
            expected.set_epoch(1)
            assert rows == next(iter(expected)).rows.tolist()


def test_two_loaders_in_two_threads(split):
    expected = taken(Loader(split, CHANNELS, **OPTIONS))
    answers: queue_module.Queue = queue_module.Queue()
    threads = [
        threading.Thread(target=lambda: answers.put(taken(Loader(split, CHANNELS, **OPTIONS))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        assert_same(answers.get(), expected)


def test_closing_in_a_fork_leaves_the_parents_iterator(split):
    loader = Loader(split, CHANNELS, **OPTIONS)
    iterator = iter(loader)
    next(iterator)
    child = os.fork()
    if not child:
        loader.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(iterator)) == len(loader) - 1


def test_an_iterator_of_the_parent_is_refused_in_a_fork(split):
    iterator = iter(Loader(split, CHANNELS, **OPTIONS))
    next(iterator)
    child = os.fork()
    if not child:
        try:
            next(iterator)
        except UsageError as error:
            os._exit(0 if "another process" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(iterator)) > 10


def test_a_copy_is_a_loader_of_its_own(split):
    loader = Loader(split, CHANNELS, **OPTIONS)
    other = copy.copy(loader)
    pairs = zip(loader, other, strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(one.codes, split.read_codes(one.rows, CHANNELS))
        np.testing.assert_array_equal(two.codes, split.read_codes(two.rows, CHANNELS))
    assert (loader.epoch, other.epoch) == (1, 1)


def test_a_count_of_processes_without_a_rank_is_refused_when_an_epoch_begins(split, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    loader = Loader(split, CHANNELS, **OPTIONS)
    with pytest.raises(UsageError, match="WORLD_SIZE=2, but there is no RANK"):
        next(iter(loader))


def test_a_state_is_right_after_going_on_with_another_number_of_ranks(split):
    """Batches in order: saved by two ranks, gone on with by three, saved again by each of them."""
    options = {"batch_size": 16, "shuffle": False}
    before = Loader(split, CHANNELS, rank=0, world_size=2, **options)
    taken(before, 2)
    state, given = before.state_dict(), set(range(4))
    assert state["step"] == 4
    for rank in range(3):
        loader = Loader(split, CHANNELS, rank=rank, world_size=3, **options)
        loader.load_state_dict(state)
        given |= {batch[5] for batch in taken(loader, 1)}
        assert loader.state_dict()["step"] == 7
    assert given == set(range(7))
