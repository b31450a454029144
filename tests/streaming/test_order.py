"""The order of rows: a permutation, the same for every number of ranks, each shard read once."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqprep.errors import UsageError
from freqprep.streaming import dealing, lane_order, order, shuffling
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import ShufflePlan, allowed_ranks, choose_plan, sequence

SHARD = 4
EXACT, ROWS = ShufflePlan("exact"), ShufflePlan("rows")
LANES = [ShufflePlan("lanes", lanes, window) for lanes in (1, 2, 3, 4, 8) for window in (1, 2, 5)]


@pytest.fixture(autouse=True, scope="module")
def small_shards():
    """Shards of four rows, so that small sizes have many."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (order, shuffling, dealing, lane_order):
            patch.setattr(module, "ROWS_PER_SHARD", SHARD)
        yield


def some_valid(images: int, seed: int = 0) -> np.ndarray:
    """About one row in six rejected, and the first one kept."""
    valid = np.random.RandomState(seed).random_sample(images) > 1 / 6
    valid[0] = True
    return valid


def filled_shards(valid: np.ndarray) -> int:
    return len({row // SHARD for row in np.flatnonzero(valid).tolist()})


def cases(images: int):
    """Row masks of a size with every plan that they allow."""
    for valid in (np.ones(images, bool), some_valid(images), some_valid(images, 1)):
        shards = filled_shards(valid)
        yield from ((valid, plan) for plan in [EXACT, ROWS, *LANES] if plan.lanes <= shards)


def batches_of(epoch_order: Order, epoch: int, step: int = 0) -> list[list[int]]:
    found = epoch_order.batches(epoch, step)
    return [part.tolist() for part in np.split(found.rows, found.edges[1:-1])][: len(found)]


@pytest.mark.parametrize("images", [*range(1, 45), 100])
def test_an_epoch_is_a_permutation_of_the_valid_rows(images):
    for valid, plan in cases(images):
        lengths = set()
        for epoch in range(3):
            rows, mixed = sequence(valid, plan, 7, epoch)
            assert sorted(rows.tolist()) == np.flatnonzero(valid).tolist()
            lengths.add(mixed)
        assert len(lengths) == 1  # so every epoch has the same number of steps
        assert len(rows) - mixed < plan.lanes * SHARD


@pytest.mark.parametrize("images", [1, 7, 29, 64, 99, 400])
def test_lanes_hold_whole_shards_and_mix_inside_their_windows(images):
    for valid, plan in cases(images):
        if plan.mode != "lanes":
            continue
        rows, mixed = sequence(valid, plan, 3, 1)
        owner: dict[int, int] = {}
        for lane in range(plan.lanes):
            shards = (rows[lane : mixed : plan.lanes] // SHARD).tolist()
            for shard in shards:
                assert owner.setdefault(shard, lane) == lane
            spans = [
                (shards.index(shard), len(shards) - shards[::-1].index(shard))
                for shard in dict.fromkeys(shards)
            ]
            # Shards of which some rows were given and some not yet. Of those that begin in a span
            # of W, there are at most W, and one more where it does not begin with a shard.
            for place in range(len(shards)):
                assert sum(first < place < last for first, last in spans) <= plan.window + 1


def test_rows_are_spread_over_the_whole_window():
    window, lanes = 8, 2
    rows, mixed = sequence(np.ones(2000, bool), ShufflePlan("lanes", lanes, window), 3, 1)
    lengths = []
    for lane in range(lanes):
        shards = rows[lane:mixed:lanes] // SHARD
        for shard in np.unique(shards[len(shards) // 4 : len(shards) // 2]):
            places = np.flatnonzero(shards == shard)
            lengths.append(places[-1] - places[0])
    # Of four draws from 0..1 the largest and the smallest are 3/5 apart in the mean.
    assert np.mean(lengths) == pytest.approx(3 / 5 * window * SHARD, rel=0.1)


@pytest.mark.parametrize("images", [16, 33, 64, 100])
@pytest.mark.parametrize("batch_size", [8, 16, 24])
def test_global_batches_are_the_same_for_every_number_of_ranks(images, batch_size):
    for valid, plan in cases(images):
        if plan.mode == "rows" or sequence(valid, plan, 0, 0)[1] < batch_size:
            continue
        rows, _ = sequence(valid, plan, 5, 2)
        for world in allowed_ranks(plan, batch_size):
            ranks = [
                Order(valid, plan, batch_size, 5, rank, world).batches(2) for rank in range(world)
            ]
            assert {len(rank) for rank in ranks} == {len(ranks[0])}
            slots = np.stack([rank.rows for rank in ranks], axis=1).ravel()
            assert slots.tolist() == rows[: len(slots)].tolist()
            assert len(slots) == len(ranks[0]) * batch_size
            if plan.mode == "lanes":
                shards = [set(reads(rank).shards.tolist()) for rank in ranks]
                assert sum(map(len, shards)) == len(set().union(*shards))


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_one_two_four_and_eight_ranks_share_eight_lanes(world):
    lanes = ShufflePlan("lanes", 8, 2)
    valid = some_valid(400)
    steps = {Order(valid, lanes, 16, 0, rank, world).steps for rank in range(world)}
    assert steps == {Order(valid, lanes, 16).steps}


@pytest.mark.parametrize(
    ("plan", "batch_size", "allowed"),
    [
        (ShufflePlan("lanes", 8, 1), 16, (1, 2, 4, 8)),
        (ShufflePlan("lanes", 6, 1), 16, (1, 2)),
        (ShufflePlan("lanes", 1, 1), 16, (1,)),
        (EXACT, 12, (1, 2, 3, 4, 6, 12)),
    ],
)
def test_other_numbers_of_ranks_are_refused_by_name(plan, batch_size, allowed):
    assert allowed_ranks(plan, batch_size) == allowed
    for world in range(1, 20):
        if world in allowed:
            Order(np.ones(100, bool), plan, batch_size, 0, world - 1, world)
            continue
        with pytest.raises(UsageError) as caught:
            Order(np.ones(100, bool), plan, batch_size, 0, 0, world)
        assert f"{world} ranks" in str(caught.value)
        assert f"allowed numbers of ranks: {', '.join(map(str, allowed))}" in str(caught.value)


@pytest.mark.parametrize("plan", [EXACT, ShufflePlan("lanes", 2, 3)])
def test_epochs_and_seeds_differ_and_repeat(plan):
    valid = some_valid(120)
    drawn = {
        json.dumps(sequence(valid, plan, seed, epoch)[0].tolist())
        for seed, epoch in itertools.product(range(20), range(20))
    }
    assert len(drawn) == 400
    again = [sequence(valid, plan, 3, 4)[0].tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("plan", [EXACT, ShufflePlan("lanes", 2, 2)])
def test_every_row_comes_everywhere_in_the_long_run(plan):
    valid = np.ones(40, bool)
    epochs = np.stack([sequence(valid, plan, 0, epoch)[0] for epoch in range(4000)])
    for slot in (0, 1, 17, 39):
        counts = np.bincount(epochs[:, slot], minlength=40)
        assert (counts > 0).all()
        # Chi-square with 39 degrees of freedom: above 90 once in 10 million fair draws.
        assert ((counts - 100) ** 2 / 100).sum() < 90


def test_windows_grow_to_the_largest():
    begin, span = dealing.spans(np.arange(40), 5, 0)
    assert begin.tolist() == list(range(40))
    assert span.tolist() == [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, *[5] * 32]
    assert dealing.spans(np.arange(40), 1, 0.5)[1].tolist() == [1] * 40


def test_lanes_need_their_shards_one_after_the_other():
    begins = np.concatenate(
        [dealing.spans(np.arange(40), 3, lane / 4)[0][10:] for lane in range(4)]
    )
    assert np.diff(np.sort(begins)).tolist() == [0.25] * (4 * 30 - 1)
    # Where whole shards are mixed one by one there is nothing to shift.
    assert dealing.spans(np.arange(5), 1, 0.5)[0].tolist() == [0, 1, 2, 3, 4]


def meetings(shards: int, plan: ShufflePlan, batch_size: int) -> float:
    """How often two rows of a batch meet again in the next epoch, against chance."""
    valid = np.ones(shards * SHARD, bool)
    again = pairs = 0
    batches = [np.full(len(valid), -1) for _ in range(4)]
    for epoch, batch in enumerate(batches):
        rows, mixed = sequence(valid, plan, 0, epoch)
        steps = mixed // batch_size
        batch[rows[: steps * batch_size]] = np.repeat(np.arange(steps), batch_size)
    for one, other in itertools.pairwise(batches):
        both = (one >= 0) & (other >= 0)
        met = np.unique(one[both] * len(valid) + other[both], return_counts=True)[1]
        again += (met * (met - 1)).sum()
        before = np.bincount(one[both])
        pairs += (before * (before - 1)).sum()
    return float(again / pairs * len(valid) / batch_size)


def test_rows_meet_again_as_seldom_as_the_window_allows():
    # Two rows of a batch are of one shard once in K, of K shards that are mixed, and then meet
    # again once in K shards' worth of batches. By chance: once in all S shards' worth.
    for window in (8, 16):
        expected = 2000 * (SHARD - 1) / SHARD / window**2
        assert meetings(2000, ShufflePlan("lanes", 1, window), 16) == pytest.approx(
            expected, rel=0.25
        )
    assert meetings(2000, EXACT, 16) == pytest.approx(1, rel=0.25)


def test_no_row_is_always_left_out():
    valid = np.ones(45, bool)
    epoch_order = Order(valid, ShufflePlan("lanes", 4, 1), 8)
    given_rows = [set(epoch_order.batches(epoch).rows.tolist()) for epoch in range(60)]
    assert all(len(rows) < 45 for rows in given_rows)
    assert set().union(*given_rows) == set(range(45))


@pytest.mark.parametrize("images", [1, 5, 16, 23])
@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_evaluation_deals_whole_batches_in_row_order(images, batch_size, world):
    valid = some_valid(images)
    rows = np.flatnonzero(valid).tolist()
    whole = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    for rank in range(world):
        mine = Order(valid, ROWS, batch_size, 0, rank, world)
        assert batches_of(mine, 0) == batches_of(mine, 5) == whole[rank::world]
        assert mine.batches(0).numbers.tolist() == list(range(len(whole)))[rank::world]
        assert mine.steps == len(whole[rank::world])
        for global_step in range(len(whole) + 1):
            assert mine.delivered(global_step) == len(range(rank, global_step, world))


@pytest.mark.parametrize("plan", [EXACT, ROWS, ShufflePlan("lanes", 4, 2)])
def test_a_later_step_begins_inside_the_same_epoch(plan):
    epoch_order = Order(some_valid(90), plan, 8, 1, 1, 2)
    whole = batches_of(epoch_order, 3)
    for step in range(len(whole) + 1):
        assert batches_of(epoch_order, 3, step) == whole[step:]
        assert epoch_order.batches(3, step).numbers.tolist() == (
            epoch_order.batches(3).numbers[step:].tolist()
        )
        assert epoch_order.delivered(epoch_order.after(0, step)) == step


@given(st.integers(1, 80), st.sampled_from([EXACT, ROWS, *LANES]), st.integers(1, 9), st.data())
def test_reads_list_every_row_once_and_in_time(images, plan, batch_size, data):
    valid = some_valid(images, data.draw(st.integers(0, 9)))
    if plan.lanes > filled_shards(valid):
        plan = EXACT
    if plan.mode != "rows" and sequence(valid, plan, 0, 0)[1] < batch_size:
        return
    batches = Order(valid, plan, batch_size, data.draw(st.integers(0, 99))).batches(0)
    needed = reads(batches)
    assert len(set(needed.shards.tolist())) == len(needed.shards)
    for rows, slots in zip(needed.rows, needed.slots, strict=True):
        assert batches.rows[slots].tolist() == rows.tolist() == sorted(rows.tolist())
    slots = np.concatenate([batches.rows[:0], *needed.slots])
    assert sorted(slots.tolist()) == list(range(len(batches.rows)))
    lists = np.split(batches.rows, batches.edges[1:-1])
    for shard, first, last in zip(needed.shards, needed.first, needed.last, strict=True):
        users = [i for i, rows in enumerate(lists) if shard in rows // SHARD]
        assert (users[0], users[-1]) == (first, last)
    assert (np.diff(needed.first) >= 0).all()
    farthest = [
        max(needed.last[needed.first <= batch], default=batch) - batch
        for batch in range(len(batches))
    ]
    assert needed.reach == max(farthest) + 1


@pytest.mark.parametrize(
    ("shards", "window", "expected"),
    [
        (10, 1000, ShufflePlan("exact")),
        (10, 999, ShufflePlan("lanes", 1, 8.625)),
        (31, 999, ShufflePlan("lanes", 1, 8.625)),
        (32, 999, ShufflePlan("lanes", 2, 4.25)),
        (10_000, 6400, ShufflePlan("lanes", 16, 3.5)),
        (10_000, 3200, ShufflePlan("lanes", 16, 1.75)),
        (200, 3100, ShufflePlan("lanes", 8, 3.375)),
        (10_000, 1, ShufflePlan("lanes", 16, 1)),
    ],
)
def test_the_regime_follows_from_the_budget(shards, window, expected):
    assert choose_plan(shards, 100, window) == expected
    assert choose_plan(shards, 100, window, shuffle=False) == ROWS


def test_lanes_are_chosen_by_number():
    assert choose_plan(10, 100, 1000, lanes=5) == ShufflePlan("lanes", 5, 1.75)
    assert choose_plan(11, 100, 10**18, lanes=5) == ShufflePlan("lanes", 5, 3)
    with pytest.raises(UsageError, match=r"lanes=11, and 10 shards .*at most 10 lanes"):
        choose_plan(10, 100, 1000, lanes=11)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seed": -1}, "seed must be 0 to 4294967295, got -1"),
        ({"seed": 2**32}, "seed must .*got 4294967296"),
        ({"rank": 2, "world_size": 2}, "rank=2 with world_size=2"),
        ({"batch_size": 21}, "no step to train: batch_size=21, but only 20 rows"),
    ],
)
def test_values_out_of_range_are_named(options, text):
    with pytest.raises(UsageError, match=text):
        Order(np.ones(20, bool), EXACT, **{"batch_size": 4} | options)
