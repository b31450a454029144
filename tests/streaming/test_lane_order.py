"""The order of a large split: drawn lane by lane, from any position, the same as drawn at once."""

import heapq

import numpy as np
import pytest
from batches import CHANNELS, WINDOW_BYTES, assert_same, taken
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep import Dataset, Loader
from freqprep.errors import UsageError
from freqprep.store import schema
from freqprep.streaming import dealing, lane_order, order, shuffling
from freqprep.streaming.aspects import POOL
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import ShufflePlan, allowed_ranks, sequence

SHARD = 4
LANES = [ShufflePlan("lanes", lanes, window) for lanes in (1, 3, 4) for window in (1, 2.5, 9)]


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four rows, blocks of three shards, sections of forty rows; all splits are large."""
    for module in (order, shuffling, dealing, lane_order):
        monkeypatch.setattr(module, "ROWS_PER_SHARD", SHARD)
    monkeypatch.setattr(lane_order, "BLOCK", 3)
    monkeypatch.setattr(order, "_SECTION_ROWS", 40)
    monkeypatch.setattr(order, "_SECTION_WINDOWS", 0)
    monkeypatch.setattr(schema, "MOST_SIMPLE_ROWS", 0)


def some_valid(images: int, seed: int) -> np.ndarray:
    """About one row in six rejected, and the first one kept; or none."""
    valid = np.random.RandomState(seed).random_sample(images) > (seed % 3) / 12
    valid[0] = True
    return valid


def cases():
    for images in (1, 77, 150):
        for seed in range(2):
            valid = some_valid(images, seed)
            filled = len({row // SHARD for row in np.flatnonzero(valid).tolist()})
            yield from ((valid, plan) for plan in LANES if plan.lanes <= filled)


def drawn_at_once(valid: np.ndarray, plan: ShufflePlan, seed: int, epoch: int) -> list[list[int]]:
    """Rows of each lane by the rule of docs/format.md, without laziness."""
    counts = [int(valid[row : row + SHARD].sum()) for row in range(0, len(valid), SHARD)]
    filled = [shard for shard, count in enumerate(counts) if count]
    shards = np.random.RandomState([seed, epoch]).permutation(filled).tolist()
    dealt: list[list[int]] = [[] for _ in range(plan.lanes)]
    lengths = [(0, lane) for lane in range(plan.lanes)]
    turn = {}
    for shard in sorted(shards, key=lambda shard: -counts[shard]):
        rows, lane = lengths[0]
        turn[shard] = lane
        heapq.heapreplace(lengths, (rows + counts[shard], lane))
    for shard in shards:
        dealt[turn[shard]].append(shard)
    lanes = []
    for lane, mine in enumerate(dealt):
        moments = []
        for block in range(0, len(mine), lane_order.BLOCK):
            part = mine[block : block + lane_order.BLOCK]
            stream = np.random.RandomState([seed, epoch, 2, lane, block // lane_order.BLOCK])
            drawn = stream.randint(0, 2**32, (len(part), SHARD), np.uint32).tolist()
            for number, (shard, draws) in enumerate(zip(part, drawn, strict=True), start=block):
                shift = lane / plan.lanes * min(number / 2, min(1.0, plan.window - 1))
                begin = number - shift
                span = min(1 + begin / 2, plan.window)
                for column, draw in enumerate(draws):
                    row = shard * SHARD + column
                    if row < len(valid) and valid[row]:
                        tick = int(draw * (span * (2**20 / 2**32)) + begin * 2**20)
                        moments.append((tick, number, row))
        lanes.append([row for _, _, row in sorted(moments)])
    return lanes


def test_lanes_are_those_of_the_rule(small_shards):
    for valid, plan in cases():
        rows, mixed = sequence(valid, plan, 7, 2)
        assert sorted(rows.tolist()) == np.flatnonzero(valid).tolist()
        lanes = drawn_at_once(valid, plan, 7, 2)
        shortest = min(map(len, lanes))
        assert mixed == shortest * plan.lanes
        assert [rows[lane : mixed : plan.lanes].tolist() for lane in range(plan.lanes)] == [
            lane[:shortest] for lane in lanes
        ]
        assert rows[mixed:].tolist() == [row for lane in lanes for row in lane[shortest:]]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_a_lane_is_drawn_from_any_position(first, length, seed):
    valid = some_valid(997, seed % 3)
    with pytest.MonkeyPatch.context() as patch:
        for module in (dealing, lane_order):
            patch.setattr(module, "ROWS_PER_SHARD", SHARD)
        patch.setattr(lane_order, "BLOCK", 3)
        counts = dealing.valid_rows_of_shards(valid)

        def drawn() -> lane_order.LaneOrder:
            return lane_order.LaneOrder(valid, counts, 3, 4.5, seed, 1, range(3))

        whole = drawn().lane(1, 0, 400)
        lanes = drawn()
        for begin in (first, 5 * first, first):  # on, and back
            found = lanes.lane(1, begin, begin + length)
            assert found.tolist() == whole[begin : begin + length].tolist()


@pytest.mark.parametrize("batch_size", [8, 12])
def test_ranks_share_the_same_global_batches_in_sections(small_shards, batch_size):
    for valid, plan in cases():
        rows, mixed = sequence(valid, plan, 5, 2)
        if mixed < batch_size:
            continue
        for world in allowed_ranks(plan, batch_size):
            ranks = [Order(valid, plan, batch_size, 5, rank, world) for rank in range(world)]
            whole = [rank.batches(2) for rank in ranks]
            slots = np.stack([rank.rows for rank in whole], axis=1).ravel()
            assert slots.tolist() == rows[: mixed // batch_size * batch_size].tolist()
            shards = [set(reads(rank).shards.tolist()) for rank in whole]
            assert sum(map(len, shards)) == len(set().union(*shards))
            for step in (0, 1, POOL + 1):
                parts = list(ranks[-1].sections(2, step))
                assert all(len(part) <= ranks[-1]._section_steps for part in parts)
                given_rows = [row for part in parts for row in part.rows.tolist()]
                each = ranks[-1].rows_per_batch
                assert given_rows == whole[-1].rows[step * each :].tolist()


@pytest.mark.parametrize("plan", [ShufflePlan("lanes", 4, 3), ShufflePlan("rows")])
def test_sections_are_the_epoch(small_shards, plan):
    valid = some_valid(1000, 1)
    bins = np.arange(1000) % 5 if plan.mode == "lanes" else None
    epoch_order = Order(valid, plan, 8, 3, 1, 2, bins)
    whole = epoch_order.batches(4)
    for step in (0, 3, POOL, 50):
        sections = list(epoch_order.sections(4, step))
        assert len(sections) > 1 or step == 50
        numbers = np.concatenate([section.numbers for section in sections])
        assert numbers.tolist() == whole.numbers[step:].tolist()
        rows = np.concatenate([section.rows for section in sections])
        assert rows.tolist() == whole.rows[whole.edges[step] :].tolist()


@given(st.lists(st.integers(1, SHARD), max_size=60), st.integers(1, 9))
def test_shards_are_dealt_as_one_by_one(counts, lanes):
    lengths = [(0, lane) for lane in range(lanes)]
    expected = [-1] * len(counts)
    for shard in sorted(range(len(counts)), key=lambda shard: -counts[shard]):
        rows, lane = lengths[0]
        expected[shard] = lane
        heapq.heapreplace(lengths, (rows + counts[shard], lane))
    assert dealing.deal(np.array(counts, np.uint8), lanes).tolist() == expected


def test_rows_are_spread_over_the_window_and_epochs_differ(small_shards):
    window, valid = 8, np.ones(4000, bool)
    rows, mixed = sequence(valid, ShufflePlan("lanes", 2, window), 3, 1)
    shards = rows[0:mixed:2] // SHARD
    lengths = [np.ptp(np.flatnonzero(shards == shard)) for shard in np.unique(shards)[100:200]]
    assert np.mean(lengths) == pytest.approx(3 / 5 * window * SHARD, rel=0.15)
    assert sequence(valid, ShufflePlan("lanes", 2, window), 3, 2)[0].tolist() != rows.tolist()


@pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")
def test_a_loader_gives_sections_and_goes_on_in_each(split, monkeypatch):
    options = {"batch_size": 8, "seed": 5, "lanes": 4, "window_bytes": 8 * WINDOW_BYTES}
    with Loader(split, CHANNELS, **options) as loader:
        as_simple = loader.state_dict()
    monkeypatch.setattr(schema, "MOST_SIMPLE_ROWS", 100)
    monkeypatch.setattr(order, "_SECTION_ROWS", 300)
    monkeypatch.setattr(order, "_SECTION_WINDOWS", 0)
    with Loader(split, CHANNELS, **options) as loader:
        assert len(list(loader._order.sections(0))) > 2
        whole = taken(loader, len(loader))
        expected = loader._order.batches(0)
        assert [rows.tolist() for _, _, rows, *_ in whole] == expected.rows.reshape(-1, 8).tolist()
        for codes, _, rows, *_ in whole[::20]:
            assert np.array_equal(codes, split.read_codes(rows, CHANNELS))
        assert (loader.epoch, loader.step) == (1, 0)
        with pytest.raises(UsageError, match="saved with drawn=None"):
            loader.load_state_dict(as_simple)
    for step in (3, 40, 70):
        with Loader(split, CHANNELS, **options) as loader:
            taken(loader, step)
            state = loader.state_dict()
        with Loader(split, CHANNELS, **options) as loader:
            loader.load_state_dict(state)
            assert_same(taken(loader, len(whole) - step), whole[step:])


@pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")
def test_an_iterator_that_was_ended_does_not_go_on_in_the_next_section(split, monkeypatch):
    monkeypatch.setattr(schema, "MOST_SIMPLE_ROWS", 100)
    monkeypatch.setattr(order, "_SECTION_ROWS", 100)
    monkeypatch.setattr(order, "_SECTION_WINDOWS", 0)
    with Loader(split, CHANNELS, batch_size=8, lanes=4, window_bytes=WINDOW_BYTES) as loader:
        first = iter(loader)
        length = loader._order._section_steps
        for _ in range(length):
            next(first)
        next(iter(loader))
        with pytest.raises(UsageError, match="this iterator was ended"):
            next(first)


def test_a_datasets_batches_are_those_of_all_sections(split, monkeypatch):
    monkeypatch.setattr(schema, "MOST_SIMPLE_ROWS", 100)
    monkeypatch.setattr(order, "_SECTION_ROWS", 100)
    monkeypatch.setattr(order, "_SECTION_WINDOWS", 0)
    data = Dataset(split, CHANNELS)
    ranks = [data.batch_sampler(8, rank=rank, world_size=2) for rank in range(2)]
    given_batches = [list(rank) for rank in ranks]
    assert len(given_batches[0]) == len(given_batches[1]) == len(ranks[0])
    images = [image for batches in given_batches for batch in batches for image in batch]
    assert len(set(images)) == len(images) == 16 * len(ranks[0])
    assert [rank.epoch for rank in ranks] == [1, 1]
