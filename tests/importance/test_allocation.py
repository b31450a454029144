"""Allocation of bytes: nothing within the same bytes is better, and budgets are kept."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freqprep.engines import Workers
from freqprep.importance.allocation import (
    FITTED,
    Allocation,
    allocation_of,
    best_channels,
    best_steps,
    candidate_allocations,
    measurable,
)
from freqprep.importance.analysis import analyse
from freqprep.importance.choice import (
    BEST,
    Budget,
    NetworkResult,
    choose,
    with_allocation,
)
from freqprep.importance.rate_distortion import STEPS, Rates, measure_rates
from freqprep.spectrum.channels import CHANNELS, Selection, published
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.reader import open_store

FEW = 4
ALL_STEPS = tuple(range(len(STEPS)))
FLAT = Precision("flat", "int8", (8.0,) * CHANNELS)
STORED = Precision("stored", "int16", (1.0,) * CHANNELS)


def toy(cost: np.ndarray, error: np.ndarray, absent: np.ndarray) -> Rates:
    """Rates of a few channels; the others are not stored."""
    by_step = np.full((2, CHANNELS, len(STEPS)), np.inf)
    by_step[:, : len(cost)] = cost, error
    stored = np.full((2, CHANNELS), np.inf)
    stored[:, : len(cost)] = cost[:, 0], error[:, 0]
    energy = np.zeros(CHANNELS)
    energy[: len(cost)] = absent
    return Rates(*by_step, energy, STORED, *stored, 1, 1)


def positive(shape) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, shape, elements=st.floats(0.01, 1000))


RATES = st.builds(toy, positive((FEW, len(STEPS))), positive((FEW, len(STEPS))), positive(FEW))
ALIKE = toy(np.full((FEW, len(STEPS)), 0.01), np.full((FEW, len(STEPS)), 0.5), np.ones(FEW))
ROUNDED = 1 + 1e-12  # bytes that are above a limit by less are sums in another order


def every_allocation(rates: Rates, columns: Iterable[int] = ALL_STEPS) -> np.ndarray:
    """Count, bytes and distortion of all allocations; shape (n, 3)."""
    sums = np.zeros((1, 3))
    for channel in range(FEW):
        taken = [
            (1, rates.channel_bytes[channel, k], rates.distortion[channel, k]) for k in columns
        ]
        options = np.array([(0, 0, rates.absent[channel]), *taken])
        sums = (sums[:, None] + options).reshape(-1, 3)
    return sums


def distortion(rates: Rates, found: Allocation | None) -> float:
    """Distortion of an allocation, or without any channel."""
    return float(rates.absent.sum()) if found is None else found.distortion


@settings(max_examples=40)
@given(RATES, st.floats(0.01, 4000), st.integers(1, FEW))
def test_no_allocation_of_the_same_bytes_is_better(rates, limit, count):
    found = best_steps(rates, limit, count)
    counts, cost, error = every_allocation(rates).T
    fits = (counts <= count) & (cost <= limit)
    if found is None:
        return
    assert 1 <= len(found.selection) <= count
    assert found.bytes_per_image <= limit * (1 + 1e-9)
    same = fits & (cost <= found.bytes_per_image * (1 + 1e-9))
    assert found.distortion <= error[same].min() * (1 + 1e-9)


@settings(max_examples=40)
@given(RATES, st.integers(1, FEW))
def test_without_a_limit_it_is_the_least_distortion(rates, count):
    found = best_steps(rates, np.inf, count)
    counts, _, error = every_allocation(rates).T
    least = error[counts <= count].min()
    assert distortion(rates, found) == pytest.approx(least)


@settings(max_examples=40)
@given(RATES, st.floats(0.01, 4000), st.integers(1, FEW))
@example(ALIKE, np.nextafter(0.01, 0), 1)
def test_at_given_steps_the_channels_are_the_best_up_to_one(rates, limit, count):
    """Prices find the corners of the convex hull; the room left is less than one channel."""
    found = best_channels(rates, FLAT, limit, count)
    counts, cost, error = every_allocation(rates, [3]).T
    fits = (counts <= count) & (cost <= limit * ROUNDED)
    least = error[fits].min()
    reached = distortion(rates, found)
    assert reached >= least * (1 - 1e-9)
    if count == FEW:
        saving = rates.absent[:FEW] - rates.distortion[:FEW, 3]
        assert reached - least <= max(saving.max(), 0) + 1e-9 * reached


@settings(max_examples=40)
@given(RATES, st.floats(0.01, 4000), st.floats(0.01, 4000), st.integers(1, FEW))
def test_a_larger_budget_is_never_worse(rates, one, other, count):
    small, large = (
        distortion(rates, best_steps(rates, limit, count)) for limit in sorted((one, other))
    )
    assert large <= small * (1 + 1e-9)


@pytest.fixture(scope="module")
def split(crop_store):
    """int16: every step is known."""
    return open_store(crop_store)["train"]


@pytest.fixture(scope="module")
def analysis(split):
    return analyse(split, workers=Workers(1))


@pytest.fixture(scope="module")
def rates(split, analysis) -> Rates:
    return measure_rates(split, analysis.channel_bytes, Workers(1))


def limits(rates: Rates) -> np.ndarray:
    every = rates.stored_bytes.sum()
    return np.geomspace(every / 200, every * 2, 12)


def test_random_allocations_of_real_rates_are_not_better(rates):
    random = np.random.default_rng(0)
    for limit in limits(rates):
        for count in (6, 24, 192):
            found = best_steps(rates, limit, count)
            for _ in range(60):
                picked = random.permutation(CHANNELS)[: random.integers(1, count + 1)]
                steps = random.choice(STEPS, CHANNELS).tolist()
                other = allocation_of(
                    rates, Selection(tuple(picked.tolist())), Precision("x", "int8", tuple(steps))
                )
                if other.bytes_per_image <= found.bytes_per_image:
                    assert other.distortion >= found.distortion


def test_more_bytes_and_more_channels_are_not_worse(rates):
    for precision in (None, FLAT, *measurable(rates, PRECISIONS.values())):
        for by_count in (True, False):
            table = np.array(
                [
                    [
                        distortion(
                            rates,
                            best_channels(rates, precision, limit, count)
                            if precision
                            else best_steps(rates, limit, count),
                        )
                        for limit in limits(rates)
                    ]
                    for count in (6, 24, 48, 192)
                ]
            )
            assert (np.diff(table, axis=0 if by_count else 1) <= 1e-6 * table.max()).all()


def test_steps_serve_all_channels_at_one_price(rates):
    """Channels that are not chosen have a step too, from the same trade of bytes for error."""
    limit = limits(rates)[6]
    few, many = best_steps(rates, limit, 12), best_steps(rates, limit, CHANNELS)
    assert len(few.selection) == 12
    for found in (few, many):
        assert (found.precision.name, found.precision.codes) == (FITTED, "int8")
        assert set(found.precision.steps) <= set(STEPS)
    # Fewer channels leave more bytes to each: their steps are finer or the same.
    shared = list(few.selection.indices)
    assert (np.array(few.precision.steps)[shared] <= np.array(many.precision.steps)[shared]).all()


@pytest.mark.parametrize("fitted", [False, True])
def test_candidates_keep_to_the_limits_and_the_best_is_first(rates, fitted):
    limit = allocation_of(rates, published("square-24"), rates.precision).bytes_per_image
    found = candidate_allocations(rates, limit, 32, fitted)
    assert all(one.bytes_per_image <= limit * (1 + 1e-9) for one in found)
    assert all(1 <= len(one.selection) <= 32 for one in found)
    assert [one.distortion for one in found] == sorted(one.distortion for one in found)
    assert (FITTED in {one.precision.name for one in found}) == fitted
    assert f"square-24 at {rates.precision.name}" in {one.name for one in found}
    if fitted:
        assert found[0].precision.name == FITTED
    for one in found:
        assert one.psnr > 0
        again = allocation_of(rates, one.selection, one.precision)
        assert again.distortion == pytest.approx(one.distortion)


def test_nothing_fits_into_nothing(rates):
    assert best_steps(rates, 1e-6, 24) is None
    assert best_channels(rates, FLAT, 1e-6, 24) is None
    assert candidate_allocations(rates, 1e-6, 24, fitted=True) == ()


def test_the_best_allocation_is_chosen(rates, analysis):
    limit = analysis.bytes_of(published("square-24").indices)
    choice = choose(analysis, 48, BEST, Budget(limit, "square-24"))
    candidates = candidate_allocations(rates, limit, 48, fitted=True)
    assert with_allocation(choice, (), ()) is choice
    first = with_allocation(choice, candidates, ())
    assert first.allocation is candidates[0] and first.allocation_result is None
    assert (first.by, first.selection) == (candidates[0].name, candidates[0].selection)
    assert first.bytes_per_image == candidates[0].bytes_per_image
    losses = [1.0 + (number != 2) for number in range(len(candidates))]
    results = [
        NetworkResult(one.name, one.selection, loss, 0.5)
        for one, loss in zip(candidates, losses, strict=True)
    ]
    judged = with_allocation(choice, candidates, results)
    assert judged.allocation is candidates[2] and judged.allocation_result is results[2]
