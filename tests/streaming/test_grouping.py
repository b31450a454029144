"""Batches of images of one aspect: the same rows in pools, for every number of ranks."""

import json

import numpy as np
import pytest
from batches import CHANNELS, WINDOW_BYTES, assert_same, taken
from hypothesis import given
from hypothesis import strategies as st

from freqprep import Loader
from freqprep.errors import UsageError
from freqprep.streaming.aspects import POOL, aspect_bins, grouped
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import ShufflePlan, allowed_ranks, sequence

# Small stores in lanes leave out much of an epoch, which is said.
pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

MODES = {"exact": {}, "lanes": {"lanes": 4, "window_bytes": 8 * WINDOW_BYTES}}
BINS = 7


def some_sizes(images: int, seed: int = 0) -> np.ndarray:
    """Heights and widths as photographs have them, and some panoramas; 0 where rejected."""
    random = np.random.RandomState(seed)
    shapes = np.array([[480, 640], [640, 480], [427, 640], [640, 427], [500, 500], [90, 640]])
    sizes = shapes[random.choice(6, images, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05])]
    return sizes * (random.random_sample((images, 1)) > 1 / 6)


def make(split, mode: str, **options) -> Loader:
    options = {"batch_size": 8, "seed": 5, "group_by_aspect": True} | MODES[mode] | options
    return Loader(split, CHANNELS, **options)


@given(st.integers(1, 300), st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_each_pool_keeps_its_rows_and_its_batches_are_of_one_bin(images, size, seed, epoch):
    bins = aspect_bins(some_sizes(images, seed % 5))
    rows = np.random.RandomState(seed).permutation(images)[: images // size * size]
    found = grouped(rows, bins, size, seed, epoch)
    assert found.shape == rows.shape
    for first in range(0, len(rows), POOL * size):
        before, after = rows[first : first + POOL * size], found[first : first + POOL * size]
        assert sorted(after.tolist()) == sorted(before.tolist())
        kinds = [set(bins[batch].tolist()) for batch in after.reshape(-1, size)]
        # Each mixed batch ends one bin and begins another.
        assert sum(len(kind) - 1 for kind in kinds) <= len(set(bins[before].tolist())) - 1 < BINS


def test_aspects_of_one_bin_are_within_a_third_of_an_octave():
    height, width = np.mgrid[1:120, 1:120].reshape(2, -1)
    bins = aspect_bins(np.stack([height, width], axis=1))
    assert sorted(set(bins.tolist())) == list(range(-3, 4))
    aspect = width / height
    for number in range(-2, 3):
        inside = aspect[bins == number]
        assert inside.max() / inside.min() <= 2 ** (1 / 3)
    np.testing.assert_array_equal(aspect_bins(np.stack([width, height], axis=1)), -bins)
    assert aspect_bins(np.array([[0, 0]])).tolist() == [0]


@pytest.mark.parametrize("plan", [ShufflePlan("exact"), ShufflePlan("lanes", 4, 2)], ids=str)
def test_global_batches_are_the_same_for_every_number_of_ranks(plan):
    sizes = some_sizes(2000)
    valid, bins = sizes[:, 0] > 0, aspect_bins(sizes)
    plain, _ = sequence(valid, plan, 5, 2)
    for world in allowed_ranks(plan, 8):
        orders = [Order(valid, plan, 8, 5, rank, world, bins) for rank in range(world)]
        ranks = [order.batches(2) for order in orders]
        slots = np.stack([rank.rows for rank in ranks], axis=1).ravel()
        expected = grouped(plain[: len(slots)], bins, 8, 5, 2)
        assert slots.tolist() == expected.tolist()
        assert len(set(slots.tolist())) == len(slots) > len(plain) - 8 - 4 * 128
        for order, rank in zip(orders, ranks, strict=True):
            ungrouped = Order(valid, plan, 8, 5, order.rank, world).batches(2)
            assert reads(rank).reach <= reads(ungrouped).reach + 2 * (POOL - 1)
            assert order.batches(2, 30).rows.tolist() == rank.rows[30 * 8 // world :].tolist()


def test_epochs_and_seeds_differ_and_repeat():
    bins = aspect_bins(some_sizes(64))
    rows = np.arange(64)
    drawn = [grouped(rows, bins, 4, *pair).tolist() for pair in np.ndindex(10, 10)]
    assert len({json.dumps(order) for order in drawn}) == 100
    assert drawn == [grouped(rows, bins, 4, *pair).tolist() for pair in np.ndindex(10, 10)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", [1, 4])
def test_ranks_are_given_their_share_of_the_stores_codes(split, mode, world):
    bins = aspect_bins(split.sizes)
    ranks = [taken(make(split, mode, rank=rank, world_size=world)) for rank in range(world)]
    seen = []
    for parts in zip(*ranks, strict=True):
        rows = np.stack([part[2] for part in parts], axis=1).ravel()
        codes = np.stack([part[0] for part in parts], axis=1).reshape(-1, *parts[0][0].shape[1:])
        np.testing.assert_array_equal(codes, split.read_codes(rows, CHANNELS))
        seen.append(rows)
    mixed = sum(len(np.unique(bins[rows])) > 1 for rows in seen)
    assert mixed < len(seen) * BINS / POOL
    rows = np.concatenate(seen)
    assert len(set(rows.tolist())) == len(rows) and split.valid[rows].all()


@pytest.mark.parametrize("mode", MODES)
def test_a_stopped_epoch_goes_on_with_the_same_batches(split, mode):
    whole = make(split, mode)
    taken(whole)
    expected = taken(whole)
    before = make(split, mode, rank=1, world_size=2)
    taken(before)
    taken(before, POOL + 5)
    state = json.loads(json.dumps(before.state_dict()))
    resumed = make(split, mode, threads=1)
    resumed.load_state_dict(state)
    assert_same(taken(resumed), expected[POOL + 5 :])


def test_states_know_whether_rows_are_grouped(split):
    plain, other = make(split, "lanes", group_by_aspect=False), make(split, "lanes")
    for loader, state in [(plain, other.state_dict()), (other, plain.state_dict())]:
        with pytest.raises(UsageError, match=r"saved with group_by_aspect=(True|False)"):
            loader.load_state_dict(state)


def test_only_shuffled_rows_are_grouped(split):
    with pytest.raises(UsageError, match="only shuffled batches"):
        Loader(split, CHANNELS, shuffle=False, group_by_aspect=True)


def padding(sizes: np.ndarray, rows: np.ndarray, batch_size: int) -> float:
    """Area of batches over that of their images, short side 800 and long side at most 1333."""
    scale = np.minimum(800 / sizes.min(axis=1), 1333 / sizes.max(axis=1))
    frames = np.rint(sizes * scale[:, None])[rows].reshape(-1, batch_size, 2)
    canvas = np.ceil(frames.max(axis=1) / 32) * 32
    return float(canvas.prod(axis=1).sum() * batch_size / frames.prod(axis=2).sum())


@pytest.mark.parametrize(("batch_size", "most"), [(2, 0.3), (8, 0.25)])
def test_real_photographs_are_padded_less(data, batch_size, most):
    sizes = np.array(
        [
            [image["height"], image["width"]]
            for name in ("train2017", "val2017")
            for image in json.loads(
                (data / f"coco/annotations/instances_{name}.json").read_bytes()
            )["images"]
        ]
    )
    valid, bins = np.ones(len(sizes), bool), aspect_bins(sizes)
    kinds = {"plain": None, "grouped": bins}
    excess = {
        kind: np.mean(
            [padding(sizes, order.batches(epoch).rows, batch_size) - 1 for epoch in range(20)]
        )
        for kind, bins in kinds.items()
        for order in [Order(valid, ShufflePlan("exact"), batch_size, bins=bins)]
    }
    assert excess["grouped"] < most * excess["plain"]
