"""However batches are consumed, an epoch is ``len(loader)`` of them, in the loader's order."""

import code
import itertools
import json

import numpy as np
import pytest
from batches import CHANNELS, WINDOW_BYTES, assert_same, taken, threads

import freqprep
from freqprep import Loader
from freqprep.errors import UsageError
from freqprep.streaming.shuffling import sequence

pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

MODES = {
    "exact": {},
    "lanes": {"lanes": 4, "window_bytes": 8 * WINDOW_BYTES},
    "rows": {"shuffle": False},
}


def make(split, mode: str = "exact", **options) -> Loader:
    options = {"batch_size": 48, "seed": 5} | MODES[mode] | options
    return Loader(split, CHANNELS, **options)


def counted(loader):
    """The way of trainers: their own count ends the epoch, and the iterator is left at its end."""
    return [batch for _, batch in zip(range(len(loader)), loader, strict=False)]


def by_next(loader):
    iterator = iter(loader)
    return [next(iterator) for _ in range(len(loader))]


def with_one_ahead(loader):
    """The way of prefetchers, which hold a batch until they have the next."""
    found, iterator = [], iter(loader)
    held = next(iterator)
    while (following := next(iterator, None)) is not None:
        found.append(held)
        held = following
    return [*found, held]


CONSUMERS = {
    "for": lambda loader: [batch for batch in loader],  # noqa: C416
    "list": list,
    "counted": counted,
    "next": by_next,
    "islice": lambda loader: list(itertools.islice(loader, len(loader))),
    "enumerate": lambda loader: [batch for _, batch in enumerate(loader)],
    "one ahead": with_one_ahead,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("consume", CONSUMERS.values(), ids=CONSUMERS)
def test_four_epochs_are_the_loaders_order_with_their_own_images(split, mode, consume):
    with make(split, mode) as loader:
        kept = [consume(loader) for _ in range(4)]
        assert (loader.epoch, loader.step) == (4, 0)
        plan, count = loader._order.plan, len(loader)
    for epoch, batches in enumerate(kept):
        expected = sequence(split.valid, plan, 5, epoch)[0]
        rows = np.concatenate([batch.rows for batch in batches])
        assert len(batches) == count
        assert rows.tolist() == expected[: len(rows)].tolist()
        for step, batch in enumerate(batches):  # all are held, and still what they were
            assert (batch.epoch, batch.step) == (epoch, step)
            x, y = batch
            np.testing.assert_array_equal(x, split.read(batch.rows, CHANNELS))
            np.testing.assert_array_equal(y, split.labels[batch.rows])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 3])
def test_a_look_takes_nothing_from_the_next_epoch(split, mode, count):
    loader = make(split, mode)
    assert len(list(itertools.islice(loader, count))) == count
    assert_same(taken(loader), taken(make(split, mode), epoch=1))
    if mode == "rows":
        rows = np.concatenate([batch.rows for batch in loader])
        assert rows.tolist() == np.flatnonzero(split.valid).tolist()


def test_an_iterator_that_gave_nothing_takes_no_epoch(split):
    loader = make(split)
    iter(loader)
    assert next(iter(loader)).epoch == 0


def test_epochs_that_are_left_early_are_different_ones(split):
    loader = make(split)
    first, second = ([batch.rows.tolist() for batch in itertools.islice(loader, 2)] for _ in "ab")
    assert first != second


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [1, 5])
def test_a_state_is_gone_on_from_to_the_bit_and_once_only(split, mode, steps):
    loader = make(split, mode)
    taken(loader)
    taken(loader, steps)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = make(split, mode)
    resumed.load_state_dict(state)
    iter(resumed)  # gives nothing, so it takes nothing
    assert_same(taken(resumed), taken(make(split, mode), epoch=1)[steps:])
    assert_same(taken(resumed), taken(make(split, mode), epoch=2))


def test_an_epoch_can_be_chosen(split):
    loader = make(split)
    expected = taken(make(split), epoch=7)
    loader.set_epoch(7)
    assert_same(taken(loader), expected)
    assert loader.epoch == 8
    loader.set_epoch(7)
    assert_same(taken(loader), expected)
    taken(loader, 2)
    loader.set_epoch(8)  # of which two batches were given: from its start all the same
    assert_same(taken(loader), taken(make(split), epoch=8))


def test_choosing_the_epoch_of_a_loaded_state_keeps_its_step(split):
    loader = make(split)
    taken(loader, 3)
    resumed = make(split)
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(0)
    assert_same(taken(resumed), taken(make(split))[3:])
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(1)
    assert_same(taken(resumed), taken(make(split), epoch=1))


def test_choosing_another_epoch_ends_the_iterator(split):
    loader = make(split)
    iterator = iter(loader)
    next(iterator)
    loader.set_epoch(4)
    with pytest.raises(UsageError, match="this iterator was ended"):
        next(iterator)
    assert next(iter(loader)).epoch == 4


@pytest.mark.parametrize("epoch", [-1, 1.5, None, True, 2**32])
def test_what_is_no_epoch_is_refused(split, epoch):
    with pytest.raises(UsageError, match=f"epoch must .*got {epoch}"):
        make(split).set_epoch(epoch)


def test_an_interrupted_cell_can_be_run_again(split):
    """In a prompt or notebook the traceback of what failed keeps the iterator alive."""
    cell = "for batch in loader:\n    seen.append(batch)\n    1 / (3 - len(seen))\n"
    seen: list = []
    prompt = code.InteractiveInterpreter({"loader": make(split), "seen": seen})
    prompt.write = lambda _: None
    prompt.runsource(cell, symbol="exec")
    assert len(seen) == 3
    seen.clear()
    prompt.runsource("seen.extend(loader)", symbol="exec")
    assert len(seen) == len(prompt.locals["loader"])
    assert {batch.epoch for batch in seen} == {1}
    assert threads() == []


def test_many_dropped_rows_are_warned_of(many):
    split = freqprep.open_store(many)["train"]
    with pytest.warns(UserWarning, match=r"out 270 of 1,294 rows \(21%\).*fewer lanes than 4"):
        assert make(split, "lanes", batch_size=64).dropped == 270
    with pytest.warns(UserWarning, match=r"leaves out 94 .*a smaller batch_size than 600"):
        assert make(split, batch_size=600).dropped == 94


@pytest.mark.filterwarnings("error")
def test_few_dropped_rows_are_not(split):
    assert make(split, batch_size=48).dropped == 1294 % 48
    assert make(split, "rows", batch_size=1000).dropped == 0


def test_a_loader_says_what_it_is(split):
    loader = make(split, "lanes")
    taken(loader, 2)
    assert repr(loader) == (
        f"Loader('{split.path}', 3 channels, {len(loader)} batches of 48, 4 lanes, rank 0 of 1,"
        " at epoch 0, step 2)"
    )
