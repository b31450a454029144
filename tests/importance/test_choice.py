"""Proposals keep to count and budget, the best is the best, halves and splits compare."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.engines import Workers
from freqprep.errors import UsageError
from freqprep.importance.analysis import DEFAULT_SCORE, Analysis, analyse
from freqprep.importance.choice import (
    BEST,
    Budget,
    NetworkResult,
    candidate_selections,
    choose,
    parse_budget,
    rules,
)
from freqprep.importance.proposal import fill, parse_amount, propose
from freqprep.importance.ranking import SCORES, by_size
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.importance.result import StatsResult, jaccard, to_document
from freqprep.importance.score_file import read_scores
from freqprep.importance.stability import stabilities
from freqprep.importance.sums import Sums
from freqprep.spectrum.channels import CHANNELS, NAMES, PUBLISHED, channels, published
from freqprep.store.reader import open_store


@pytest.fixture(scope="module")
def split(store):
    return open_store(store)["train"]


@pytest.fixture(scope="module")
def analysis(split) -> Analysis:
    return analyse(split, workers=Workers(1))


COSTS = st.lists(st.floats(0.1, 100), min_size=12, max_size=12)


@given(COSTS, st.permutations(range(12)), st.integers(1, 12), st.floats(0.1, 300))
def test_filling_takes_whatever_fits_in_order(costs, order, count, limit):
    cost = np.array(costs)
    taken = fill(order, count, cost, limit)
    assert len(taken) <= count
    assert cost[taken].sum() <= limit + 1e-9
    assert [k for k in order if k in taken] == taken
    assert set(taken) <= set(order[: 2 * count])
    for place, k in enumerate(order[: 2 * count]):
        if k not in taken:  # there was no room when its turn came
            before = [other for other in taken if order.index(other) < place]
            assert len(before) == count or cost[before].sum() + cost[k] > limit - 1e-9


@pytest.mark.parametrize("count", [1, 5, 24, 100, 192])
def test_a_top_fits_into_its_own_bytes(analysis, count):
    for ranking in analysis.rankings.values():
        limit = analysis.bytes_of(ranking.order[:count])
        taken = fill(ranking.order, count, analysis.channel_bytes, limit)
        assert tuple(taken) == ranking.order[:count]


def test_a_score_with_nothing_that_fits_is_no_candidate(analysis):
    cheapest = analysis.channel_bytes.min()
    found = candidate_selections(analysis, 1, cheapest * 1.01)
    assert all(analysis.bytes_of(one.indices) <= cheapest * 1.01 for one in found)


def test_without_a_budget_the_top_is_taken(analysis):
    order = analysis.ranking("entropy").order
    assert propose("x", order, 24, analysis.channel_bytes).indices == order[:24]


AMOUNTS = {
    "20KB/image": 20_000,
    "20 KB an image": 20_000,
    "1.5mb per image": 1.5e6,
    "60GB": 60e9 / 100,
    "60 GB in all": 60e9 / 100,
    "7b": 0.07,
}


@pytest.mark.parametrize(("text", "expected"), AMOUNTS.items())
def test_budgets_in_words(text, expected):
    assert parse_amount(text, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "20", "KB", "-3KB", "20KB/s", "square-24", "20KB an image in all", "1e9KB", "∞KB"]
)
def test_what_is_no_amount(text):
    assert parse_amount(text, 100) is None


def test_budgets_that_cannot_be(analysis, split):
    with pytest.raises(UsageError, match="no channel"):
        parse_amount("0KB", 10)
    with pytest.raises(UsageError, match="'much' is no budget"):
        parse_budget(split, 24, BEST, "much").resolve(analysis)
    with pytest.raises(UsageError, match="does not hold y_0_0, the first channel by energy"):
        choose(analysis, 24, "energy", Budget(1e-3))
    for top in (0, 193, -1):
        with pytest.raises(UsageError, match=f"the top {top} channels"):
            choose(analysis, top, "energy", Budget())


def test_a_selection_as_a_budget(analysis, split):
    found = parse_budget(split, 24, "energy", "paper-6").resolve(analysis)
    assert found.limit == analysis.bytes_of(published("paper-6").indices)
    with pytest.raises(UsageError, match="'6' has no unit"):
        parse_budget(split, 24, "energy", "6")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_best_costs_no_more_than_the_published(analysis, split, name):
    top = len(published(name))
    budget = parse_budget(split, top, BEST, None).resolve(analysis)
    choice = choose(analysis, top, BEST, budget)
    assert choice.by == DEFAULT_SCORE
    assert len(choice.selection) <= top
    assert analysis.bytes_of(choice.selection.indices) <= budget.limit
    same = next(n for n in PUBLISHED if len(published(n)) == top)
    assert budget.limit == analysis.bytes_of(published(same).indices)


def test_other_counts_and_scores_have_no_limit(analysis, split):
    assert math.isinf(parse_budget(split, 25, BEST, None).resolve(analysis).limit)
    assert math.isinf(parse_budget(split, 24, "visible", None).resolve(analysis).limit)


def test_the_best_for_a_judge_is_the_least_loss(analysis, split):
    """A judge that likes chroma: the candidate with the most of it is chosen."""

    def judge(selections):
        return tuple(
            NetworkResult(s.name, s, float(-sum(k >= 64 for k in s.indices)), 0.5)
            for s in selections
        )

    budget = parse_budget(split, 24, BEST, None).resolve(analysis)
    choice = choose(analysis, 24, BEST, budget, judge)
    most = max(choice.candidates, key=lambda s: sum(k >= 64 for k in s.indices))
    assert choice.selection.indices == most.indices
    assert choice.by == most.name
    assert choose(analysis, 24, "energy", budget, judge).by == "energy"


def test_candidates_differ_and_keep_to_the_limits(analysis):
    limit = analysis.bytes_of(published("square-24").indices)
    found = candidate_selections(analysis, 24, limit)
    assert len({frozenset(s.indices) for s in found}) == len(found)
    assert len({s.name for s in found}) == len(found)
    assert all(len(s) <= 24 and analysis.bytes_of(s.indices) <= limit for s in found)
    assert {"square-24", "paper-6"} <= {s.name for s in found}


@pytest.mark.parametrize("top", [1, 2, 6, 24, 100, 192])
def test_rules_have_as_many_channels_as_asked(top):
    for rule in rules(top):
        assert len(rule) == top or (rule.name.startswith("square-") and len(rule) < top)
        assert channels(rule.name).indices == rule.indices


def test_unknown_scores_are_named_with_the_known(analysis, split):
    with pytest.raises(UsageError, match=r"unknown score 'loudness'.*visible.*energy"):
        choose(analysis, 24, "loudness", Budget())
    with pytest.raises(UsageError, match="--network"):
        compute_stats(split, StatsRequest(24, "removal"))
    lacking = dataclasses.replace(
        analysis,
        rankings={"energy": analysis.rankings["energy"]},
        unavailable={"mrmr": "there are no labels"},
    )
    with pytest.raises(UsageError, match="there are no labels; use one of: energy"):
        choose(lacking, 24, "mrmr", Budget())


def test_equal_halves_agree_and_have_no_error(analysis):
    """Eight groups of the same sums: every half is every other."""
    one = analysis.sums.part([0])
    same = Sums(
        **{
            field.name: np.repeat(getattr(one, field.name), 8, axis=0)
            for field in dataclasses.fields(Sums)
        }
    )
    scores = [SCORES[name] for name in ("visible", "gain", "entropy", "redundancy")]
    found = stabilities(scores, same, analysis.steps, 24)
    assert set(found) == {score.name for score in scores}
    for stability in found.values():
        assert stability.spearman == pytest.approx(1)
        assert (stability.overlap, stability.overlap_sd) == (1, 0)
        assert np.allclose(stability.error, 0, atol=1e-9)


def test_stability_by_brute_force(analysis):
    """One halving written out, and the jackknife of the energy."""
    score = SCORES["energy"]
    sums, steps = analysis.sums, analysis.steps
    found = analysis.stability["energy"]
    without = np.stack(
        [
            score.ranking(sums.part([g for g in range(8) if g != gone]), steps).values
            for gone in range(8)
        ]
    )
    error = np.sqrt(7 / 8 * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    assert np.allclose(found.error, error)
    shares = []
    for mask in range(256):
        half = [g for g in range(8) if mask >> g & 1]
        if len(half) == 4:
            other = [g for g in range(8) if g not in half]
            tops = [set(score.ranking(sums.part(h), steps).order[:24]) for h in (half, other)]
            shares.append(len(tops[0] & tops[1]) / 24)
    assert found.overlap == pytest.approx(np.mean(shares))
    assert 0.5 < found.spearman <= 1


def test_too_few_images_have_no_halves(analysis):
    few = dataclasses.replace(analysis.sums, images=np.array([1, 1, 1, 1, 1, 1, 1, 0]))
    assert stabilities([SCORES["energy"]], few, analysis.steps, 24) == {}


def gate(**changes) -> dict:
    values = {name: index / 192 for index, name in enumerate(NAMES)}
    return {"format": "freqprep-scores", "name": "gate", "values": values} | changes


def test_scores_from_a_file(analysis, split, tmp_path):
    path = tmp_path / "gate.json"
    path.write_text(json.dumps(gate(unit="probability", meaning="open")))
    assert read_scores(path).order == tuple(reversed(range(CHANNELS)))
    found = compute_stats(split, StatsRequest(3, "gate", scores=path))
    assert found.choice.selection.names == ("cr_7_7", "cr_7_6", "cr_7_5")


HOSTILE = {
    "no JSON": b"{",
    "another format": json.dumps(gate(format="x")).encode(),
    "a list": b"[]",
    "no name": json.dumps(gate(name=3)).encode(),
    "a channel missing": json.dumps(gate(values={"y_0_0": 1})).encode(),
    "not a number": json.dumps(gate(values=gate()["values"] | {"y_0_0": "1"})).encode(),
    "NaN": json.dumps(gate(values=gate()["values"] | {"y_0_0": math.nan})).encode(),
    "huge": json.dumps(gate(values=gate()["values"] | {"y_0_0": 10**400})).encode(),
    "the name of published lists": json.dumps(gate(name="learned")).encode(),
    "a published name": json.dumps(gate(name="square-24")).encode(),
    "two lines": json.dumps(gate(meaning="a\nb")).encode(),
    "an escape": json.dumps(gate(unit="\x1b[2J")).encode(),
    "a long name": json.dumps(gate(name="x" * 3000)).encode(),
    "unknown channel": json.dumps(gate(values=gate()["values"] | {"y_9_9": 1})).encode(),
    "deep": b"[" * 100_000,
    "long": b" " * (2**20 + 1),
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_score_files(data, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="holds no scores"):
        read_scores(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_scores(tmp_path / "nowhere.json")


def test_a_score_must_not_hide_ours(analysis, split, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(gate(name="energy")))
    with pytest.raises(UsageError, match="there is a score 'energy' already"):
        compute_stats(split, StatsRequest(24, scores=path))


@settings(max_examples=20)
@given(st.sets(st.integers(0, 191), min_size=1), st.sets(st.integers(0, 191), min_size=1))
def test_overlap_is_symmetric_and_one_for_the_same(one, other):
    assert jaccard(one, other) == jaccard(other, one)
    assert jaccard(one, one) == 1
    assert (jaccard(one, other) == 0) == one.isdisjoint(other)


def test_the_document_is_json_without_nan(analysis, split):
    found = compute_stats(split, StatsRequest(192, "energy"), split)
    document = json.loads(json.dumps(to_document(found), allow_nan=False))
    assert len(document["selection"]) == 192
    assert document["psnr_rgb"] is None  # exact
    assert isinstance(found, StatsResult)


def test_ties_go_to_the_lower_index():
    assert by_size(np.array([1.0, 3, 3, 2, 1])) == (1, 2, 3, 0, 4)


def test_a_budget_that_holds_channels_at_coarser_steps_alone(store):
    """It is no reason to refuse it that the first channel does not fit as it is stored."""
    split = open_store(store)["train"]
    cost = analyse(split, 3, Workers(1)).channel_bytes[0]
    budget = f"{0.97 * cost}B/image"
    result = compute_stats(split, StatsRequest(3, budget=budget), workers=Workers(1))
    allocation = result.choice.allocation
    assert allocation.precision != split.attributes.encoding.precision
    assert allocation.bytes_per_image <= 0.97 * cost
    document = to_document(result)
    assert document["bytes_per_image"] == allocation.bytes_per_image
    # What these bytes buy is known as networks see it; in RGB only at the stored steps.
    assert document["psnr_rgb"] is None and document["psnr_visible"] == allocation.psnr
    with pytest.raises(UsageError, match="does not hold y_0_0"):
        compute_stats(split, StatsRequest(3, by="energy", budget=budget), workers=Workers(1))


def test_channels_that_never_vary_are_the_last_of_the_redundancy(analysis):
    flat = analysis.sums.total()
    flat.activity[:, 5] = 0
    flat.activity_products[:, 5] = flat.activity_products[:, :, 5] = 0
    for name in ("redundancy", "mrmr"):
        order = SCORES[name].ranking(flat, analysis.steps).order
        assert order[-1] == 5 or analysis.sums.activity[:, order[-1]].sum() == 0
        assert sorted(order) == list(range(CHANNELS))
