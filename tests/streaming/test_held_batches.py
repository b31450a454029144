"""Batches stay what they were for as long as they are held, whoever holds which part of them."""

import gc
import pickle
import queue
import random
import sys
import threading

import numpy as np
import pytest
import torch
from batches import CHANNELS, WINDOW_BYTES
from hypothesis import given
from hypothesis import strategies as st

import freqprep
from freqprep import Batch, Loader
from freqprep.errors import UsageError
from freqprep.streaming.ring import LENT_AT_MOST, Ring

pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

MODES = {
    "exact": {"batch_size": 16},
    "lanes": {"batch_size": 16, "lanes": 2, "window_bytes": 2**14},
    "rows": {"batch_size": 16, "shuffle": False},
    "one batch": {"batch_size": 1200},
}


def right(split, batch, codes=None) -> None:
    codes = batch.codes if codes is None else codes
    np.testing.assert_array_equal(codes, split.read_codes(batch.rows, CHANNELS))
    np.testing.assert_array_equal(batch.labels, split.labels[batch.rows])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_batches_that_are_held_for_random_times(split, mode, seed):
    chance = random.Random(seed)
    held: list[Batch] = []
    with Loader(split, CHANNELS, **MODES[mode]) as loader:
        for _ in range(3):
            for batch in loader:
                held.append(batch)
                chance.shuffle(held)
                for old in held[chance.randint(0, 6) :]:
                    right(split, old)
                del held[chance.randint(0, 6) :]
    for batch in held:
        right(split, batch)  # after the loader was closed


@pytest.mark.parametrize(
    "part",
    [
        lambda batch: batch.codes[3:, :1],
        lambda batch: batch.codes.numpy()[3:, :1],
        lambda batch: torch.from_dlpack(batch.codes)[3:, :1],
        lambda batch: memoryview(batch.codes.numpy())[3:],
    ],
    ids=["view", "array", "dlpack", "memoryview"],
)
def test_a_part_that_is_kept_keeps_the_memory(split, part):
    kept = []
    with Loader(split, CHANNELS, batch_size=16) as loader:
        for batch in loader:
            kept.append((batch.rows, part(batch)))
    for rows, found in kept:
        expected = split.read_codes(rows, CHANNELS)[3:]
        np.testing.assert_array_equal(np.asarray(found), expected[:, : np.asarray(found).shape[1]])


def test_what_autograd_saves_is_kept(split):
    weight = torch.ones(3, 1, 1, requires_grad=True)
    losses, rows = [], []
    for batch in Loader(split, CHANNELS, batch_size=16):
        losses.append((batch.codes * weight).sum())
        rows.append(batch.rows)
    torch.stack(losses).sum().backward()
    expected = split.read_codes(np.concatenate(rows), CHANNELS).astype(float).sum((0, 2, 3))
    np.testing.assert_allclose(weight.grad.flatten(), expected)


def test_batches_may_be_held_by_another_thread(split):
    handed: queue.Queue = queue.Queue(maxsize=5)
    wrong = []

    def consume() -> None:
        waiting = []
        while (batch := handed.get()) is not None:
            waiting.append(batch)
            if len(waiting) > 4:
                old = waiting.pop(0)
                wrong.append(not np.array_equal(old.codes, split.read_codes(old.rows, CHANNELS)))

    thread = threading.Thread(target=consume)
    thread.start()
    for batch in Loader(split, CHANNELS, batch_size=16, lanes=2, window_bytes=WINDOW_BYTES):
        handed.put(batch)
    handed.put(None)
    thread.join()
    assert len(wrong) > 60 and not any(wrong)


def test_writing_into_a_batch_changes_no_other(split):
    with Loader(split, CHANNELS, batch_size=16) as loader:
        for _ in range(2):
            kept = []
            for batch in loader:
                right(split, batch)
                batch.codes.zero_()
                kept.append(batch)
            assert not any(batch.codes.any() for batch in kept)


def test_a_loop_copies_nothing_and_only_further_batches_are_copies(split):
    with Loader(split, CHANNELS, batch_size=16) as loader:
        buffers = set()
        for batch in loader:
            buffers.add(batch.codes.data_ptr())
        ring = loader._memory._delivery.ring
        inside = range(ring.codes.ctypes.data, ring.codes.ctypes.data + ring.codes.nbytes)
        assert buffers <= set(inside[:: ring.codes[0].nbytes])
        del batch
        gc.collect()
        kept = [batch.codes.data_ptr() in inside for batch in list(loader)]
    assert kept == [True] * LENT_AT_MOST + [False] * (len(kept) - LENT_AT_MOST)


def test_reused_batches_are_overwritten(split):
    with Loader(split, CHANNELS, batch_size=16, reuse=True) as loader:
        kept = list(loader)
        same = [
            np.array_equal(batch.codes, split.read_codes(batch.rows, CHANNELS)) for batch in kept
        ]
        assert sum(same) <= len(loader._memory._delivery.ring) < len(kept)
    for batch in kept:  # all but the codes are the batch's own
        np.testing.assert_array_equal(batch.labels, split.labels[batch.rows])


@given(st.data())
def test_buffers_of_a_ring_are_never_given_twice(data):
    """Any order of lending, copying and freeing; batches that are needed always have a buffer."""
    count, images = data.draw(st.integers(LENT_AT_MOST + 1, 8)), 2
    ring = Ring(np.zeros((count, images), np.int8))
    held: dict[int, np.ndarray] = {}
    for _ in range(data.draw(st.integers(1, 3))):
        batches = data.draw(st.integers(1, 12))
        buffers = ring.begin(batches)
        assigned = buffers.assign()
        for number in range(batches):
            assert assigned >= min(number + count - len(held), batches) > number
            owner = int(buffers.positions(np.array([number * images]))[0]) // images
            buffers.batch(number, images)[:] = number
            lent = buffers.lend(number, images)
            if lent is None:
                assert len(held) == LENT_AT_MOST
                buffers.free(number)
            else:
                assert owner not in held
                held[owner] = lent
            del lent
            for buffer in data.draw(st.lists(st.sampled_from(sorted(held)), unique=True)):
                del held[buffer]
            assigned = buffers.assign()
        if data.draw(st.booleans()):  # one that was ended lets go of a buffer once more
            buffers.free(data.draw(st.integers(0, batches - 1)))
    for buffer, array in held.items():
        assert (array == ring.codes[buffer]).all()


def test_a_batch_is_a_pair_and_more(split):
    batch = next(iter(Loader(split, CHANNELS, batch_size=16)))
    x, y = batch
    assert len(batch) == 16 == len(x)
    assert x is batch.coefficients and y is batch.labels
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x, split.read(batch.rows, CHANNELS))
    np.testing.assert_array_equal(batch.quantization_steps, split.steps[[1, 64, 0]])
    assert repr(batch) == "Batch(16 images, 3 x 2 x 2 int8 on cpu, epoch 0, step 0)"


def test_a_batch_moves_to_a_device(split):
    batch = next(iter(Loader(split, CHANNELS, batch_size=16)))
    for moved in (batch.to("meta"), batch.to(torch.device("meta"), non_blocking=True)):
        x, y = moved
        assert x.is_meta and y.is_meta and moved.quantization_steps.is_meta
        assert moved.rows is batch.rows and (moved.epoch, moved.step) == (0, 0)
    right(split, batch.to("cpu"))


def test_a_batch_survives_pickling(split):
    batch = next(iter(Loader(split, CHANNELS, batch_size=16)))
    copy = pickle.loads(pickle.dumps(batch))
    right(split, copy)
    np.testing.assert_array_equal(copy.coefficients, batch.coefficients)


def test_a_batch_made_by_hand_has_codes_alone():
    nothing = torch.zeros(1, 2, 3, 3, dtype=torch.int8)
    batch = freqprep.Batch(nothing, torch.zeros(1), np.arange(1), np.ones((1, 2), int), 0, 0)
    assert batch.to("cpu").quantization_steps is None
    with pytest.raises(UsageError, match="quantization_steps"):
        _ = batch.coefficients


def test_letting_go_of_a_batch_runs_no_python_function(split):
    """An interrupt in one, called while memory is freed, would be lost: Ctrl-C did nothing."""
    with Loader(split, CHANNELS, **MODES["lanes"]) as loader:
        batch = next(iter(loader))
        assert len(loader._memory._delivery.ring.lent) == 1
        called = []
        sys.setprofile(lambda frame, event, _: event == "call" and called.append(frame.f_code))
        del batch
        sys.setprofile(None)
        assert called == []
        loader._memory._delivery.ring.collect()
        assert not loader._memory._delivery.ring.lent
