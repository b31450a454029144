"""The loader gives the store's codes in the order that seed, epoch and step fix."""

import gc
import json
import threading
import tracemalloc

import numpy as np
import pytest
import torch
from batches import CHANNELS, SHARD_BYTES, WINDOW_BYTES, assert_same, taken

import freqprep
from freqprep import Loader
from freqprep.errors import UsageError
from freqprep.streaming import memory
from freqprep.streaming.shuffling import sequence

# Small stores in lanes leave out much of an epoch, which is said.
pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

MODES = {
    "exact": {},
    "lanes": {"lanes": 4, "window_bytes": 8 * WINDOW_BYTES},
    "one lane": {"window_bytes": 5 * WINDOW_BYTES},
    "hardly any memory": {"window_bytes": 2**14},
    "rows": {"shuffle": False},
}
SHUFFLED = [name for name in MODES if name != "rows"]


def make(split, mode: str = "exact", **options) -> Loader:
    options = {"batch_size": 48, "seed": 5} | MODES[mode] | options
    return Loader(split, CHANNELS, **options)


def opened(split, monkeypatch) -> list[int]:
    """Shards that are opened from now on."""
    shards: list[int] = []
    plain = type(split).open_shard
    monkeypatch.setattr(
        type(split), "open_shard", lambda self, shard: shards.append(shard) or plain(self, shard)
    )
    return shards


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [4, 48, 600])
def test_batches_are_the_stores_codes(split, mode, threads, batch_size):
    with make(split, mode, threads=threads, batch_size=batch_size) as loader:
        for epoch in range(2):
            expected, _ = sequence(split.valid, loader._order.plan, 5, epoch)
            seen = []
            for step, batch in enumerate(loader):
                assert batch.codes.is_contiguous() and batch.codes.dtype == torch.int8
                assert (batch.epoch, batch.step) == (epoch, step)
                # The position is the next batch's, so it rises to the next epoch with the last one.
                assert (loader.epoch, loader.step) == divmod(
                    epoch * len(loader) + step + 1, len(loader)
                )
                np.testing.assert_array_equal(batch.codes, split.read_codes(batch.rows, CHANNELS))
                np.testing.assert_array_equal(batch.labels, split.labels[batch.rows])
                np.testing.assert_array_equal(batch.sizes, split.sizes[batch.rows])
                seen += batch.rows.tolist()
            assert step + 1 == len(loader)
            assert seen == expected[: len(seen)].tolist()
        assert (loader.epoch, loader.step) == (2, 0)
    np.testing.assert_array_equal(loader.quantization_steps, split.steps[[1, 64, 0]])


def test_sixteen_bit_codes_and_all_channels(crop_store):
    split = freqprep.open_store(crop_store)["train"]
    with Loader(split, None, batch_size=16) as loader:
        for batch in loader:
            assert batch.codes.dtype == torch.int16
            np.testing.assert_array_equal(batch.codes, split.read_codes(batch.rows))


@pytest.mark.parametrize("mode", ["exact", "lanes"])
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_global_batches(split, mode, world):
    whole = taken(make(split, mode))
    ranks = [taken(make(split, mode, rank=rank, world_size=world)) for rank in range(world)]
    for step, (codes, _, rows, *_) in enumerate(whole):
        for rank in range(world):
            np.testing.assert_array_equal(ranks[rank][step][0], codes[rank::world])
            np.testing.assert_array_equal(ranks[rank][step][2], rows[rank::world])


def test_evaluation_on_three_ranks_covers_each_row_once(split):
    ranks = [taken(make(split, "rows", rank=rank, world_size=3)) for rank in range(3)]
    batches = {batch[5]: batch[2] for rank in ranks for batch in rank}
    rows = np.concatenate([batches[number] for number in range(len(batches))])
    assert rows.tolist() == np.flatnonzero(split.valid).tolist()


def test_lanes_read_each_shard_once_an_epoch_over_all_ranks(split, monkeypatch):
    shards = opened(split, monkeypatch)
    for rank in range(4):
        with make(split, "lanes", rank=rank, world_size=4, batch_size=8) as loader:
            taken(loader)
    assert len(shards) == len(set(shards)) > 8


def test_what_fits_in_memory_is_read_once(split, monkeypatch):
    shards = opened(split, monkeypatch)
    with make(split) as loader:
        taken(loader, 1)
        assert sorted(shards) == list(range(11))
        for _ in range(3):
            taken(loader)
    assert sorted(shards) == list(range(11))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", [1, 2])
def test_a_saved_state_goes_on_on_another_number_of_ranks(split, mode, world):
    if mode in ("one lane", "hardly any memory"):
        world = 1
    before = [make(split, mode, rank=rank, world_size=world) for rank in range(world)]
    for loader in before:
        taken(loader)
        taken(loader, 4)
    state = json.loads(json.dumps(before[0].state_dict()))
    assert (state["epoch"], state["step"]) == (1, 4 * (world if mode == "rows" else 1))

    whole = make(split, mode)
    taken(whole)
    expected = taken(whole)
    resumed = make(split, mode, threads=1)
    resumed.load_state_dict(state)
    assert_same(taken(resumed), expected[state["step"] :])
    assert (resumed.epoch, resumed.step) == (2, 0)


def test_the_state_counts_what_was_delivered(split):
    loader = make(split)
    for steps, _ in enumerate(loader, 1):
        epoch, step = divmod(steps, len(loader))
        assert loader.state_dict() == loader.state_dict() | {"epoch": epoch, "step": step}


def test_a_state_at_the_end_of_an_epoch_goes_on_with_the_next(split):
    loader = make(split)
    for _ in loader:
        state = loader.state_dict()
    resumed = make(split)
    # States of both forms: the next epoch's start, and the epoch's end.
    for same in (state, state | {"epoch": 0, "step": len(loader)}):
        resumed.load_state_dict(same)
        assert (resumed.epoch, resumed.step) == (1, 0)
        assert_same(taken(resumed), taken(make(split), epoch=1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 1}, "version=1"),
        ({"content_id": "0" * 64}, "content_id='0000"),
        ({"channels": ["y_0_0"]}, "channels="),
        ({"seed": 6}, "seed=6, the loader has 5"),
        ({"batch_size": 8}, "batch_size=8"),
        ({"regime": "rows"}, "regime='rows', the loader has 'lanes'"),
        ({"lanes": 2}, "lanes=2, the loader has 4"),
        ({"window": None}, "window=None"),
        ({"step": 10**6}, "step 1000000 of epoch 0"),
        ({"step": -1}, "the state's step must .*got -1"),
        ({"epoch": "1"}, "the state's epoch must .*got '1'"),
        ({"epoch": 2**40}, "of epoch 1099511627776"),
    ],
)
def test_states_of_another_order_are_refused_by_name(split, change, text):
    loader = make(split, "lanes")
    with pytest.raises(UsageError, match=text):
        loader.load_state_dict(loader.state_dict() | change)
    assert (loader.epoch, loader.step) == (0, 0)


@pytest.mark.parametrize("state", [None, {}, [1], {"version": 1}])
def test_what_is_no_state_is_refused(split, state):
    with pytest.raises(UsageError, match="not a loader's state"):
        make(split).load_state_dict(state)


def test_waiting_is_counted(split):
    loader = make(split)
    taken(loader)
    assert loader.wait_seconds > 0


def test_a_long_wait_for_the_first_batch_is_shown(split, monkeypatch):
    shown = threading.Event()
    asked = []

    class Recorded(memory.Progress):
        def __init__(self, what, total, unit):
            asked.append((what, total, unit))
            super().__init__(what, total, unit=unit)
            shown.set()

    plain = type(split).open_shard
    monkeypatch.setattr(
        type(split), "open_shard", lambda self, shard: shown.wait() and plain(self, shard)
    )
    monkeypatch.setattr(memory, "Progress", Recorded)
    monkeypatch.setattr(memory, "_PATIENCE_SECONDS", 0)
    found = taken(make(split))
    assert asked == [(f"reading {split.path} for the first batch", 12, "part")]
    assert_same(found, taken(make(split)))


@pytest.mark.parametrize("mode", ["exact", "lanes", "rows"])
def test_sixty_epochs_take_no_more_memory_than_thirty(split, mode):
    with make(split, mode, batch_size=400) as loader:
        tracemalloc.start()
        try:
            held = []
            for epochs in (30, 30):
                for _ in range(epochs):
                    for _ in loader:
                        pass
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert loader.epoch == 60
    # A number for each row that is kept would be 300,000 bytes. Python and NumPy keep a few
    # kilobytes of blocks that are free, which tracemalloc counts.
    assert held[1] - held[0] < 100_000


def test_closing_frees_the_memory(split):
    tracemalloc.start()
    try:
        loader = make(split)
        taken(loader)
        held, _ = tracemalloc.get_traced_memory()
        loader.close()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held - left > 11 * SHARD_BYTES


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", MODES)
def test_a_cuda_device_gets_the_same_batches(split, mode):
    expected = taken(make(split, mode)) + taken(make(split, mode), 3)
    found = []
    with make(split, mode, device="cuda") as loader:
        for count in (None, 3):
            loader.set_epoch(0)
            for batch in loader:
                assert batch.codes.is_cuda and batch.labels.is_cuda
                # Queued work must see this batch even when the next one is on its way.
                codes = (batch.codes.float() * 1).to(torch.int8).cpu().numpy()
                found.append((codes, batch.labels.cpu().numpy(), batch.rows, batch.sizes, 0))
                if len(found) == len(expected) and count:
                    break
    assert_same(found, [batch[:5] for batch in expected])


@pytest.mark.parametrize("mode", MODES)
def test_the_order_does_not_depend_on_the_channels(split, mode):
    rows = []
    for channels in (["y_0_0"], "paper-64", "all"):
        with Loader(split, channels, batch_size=48, seed=5, **MODES[mode]) as loader:
            rows.append([batch.rows.tolist() for batch in loader])
    assert rows[0] == rows[1] == rows[2]
