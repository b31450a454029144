"""A network as the judge: its verdicts are the evaluation's, its rankings keep to a budget."""

import numpy as np
import pytest
from subset import MIXED

torch = pytest.importorskip("torch")

from freqprep.engines import Workers  # noqa: E402
from freqprep.errors import UsageError  # noqa: E402
from freqprep.importance.allocation import Allocation  # noqa: E402
from freqprep.importance.analysis import analyse  # noqa: E402
from freqprep.importance.choice import BEST, Budget, choose  # noqa: E402
from freqprep.importance.network_evaluation import NetworkSample, evaluate_selections  # noqa: E402
from freqprep.importance.network_judge import NetworkJudge  # noqa: E402
from freqprep.importance.network_view import Views  # noqa: E402
from freqprep.importance.request import StatsRequest, compute_stats  # noqa: E402
from freqprep.spectrum.channels import CHANNELS, Selection, published  # noqa: E402
from freqprep.store.reader import open_store  # noqa: E402

MEANS = {0, 64, 128}


class Colours:
    """Three classes from the mean colour and its vertical slope: few channels matter."""

    classes = 3

    def logits(self, rgb):
        mean = rgb.mean((2, 3)) / 32
        slope = (rgb[:, :, 112:].mean((2, 3)) - rgb[:, :, :112].mean((2, 3))) / 8
        return mean + slope


@pytest.fixture(scope="module")
def split(store):
    return open_store(store)["train"]


@pytest.fixture(scope="module")
def analysis(split):
    return analyse(split, workers=Workers(1))


@pytest.fixture(scope="module")
def judge(split):
    network = Colours()
    return NetworkJudge(
        split, network, NetworkSample.gather(split, network, images=12), "colours.npz"
    )


def test_verdicts_are_those_of_the_evaluation(split, judge):
    selections = [published(name) for name in ("paper-6", "square-24", "paper-64")]
    found = evaluate_selections(split, judge.network, judge.sample, selections)
    for result, selection, loss, accuracy in zip(
        judge.evaluate(selections), selections, found.loss, found.accuracy, strict=True
    ):
        assert result.name == selection.name
        assert (result.loss, result.accuracy) == (pytest.approx(loss), pytest.approx(accuracy))


def test_removal_ranks_by_what_is_lost(split, judge, analysis):
    ranking = judge.rank_by_removal()[0]
    everything = tuple(range(CHANNELS))
    first = ranking.order[0]
    without = Selection(tuple(k for k in everything if k != first))
    loss = evaluate_selections(
        split, judge.network, judge.sample, [Selection(everything), without]
    ).loss
    assert ranking.values[first] == pytest.approx(loss[1] - loss[0], abs=1e-6)
    assert ranking.values[first] == ranking.values.max()
    assert sorted(ranking.order) == list(everything)
    assert ranking.error.shape == (CHANNELS,)
    accuracy = judge.rank_by_removal()[1]
    assert accuracy.values[accuracy.order[0]] == accuracy.values.min()


@pytest.mark.parametrize("top", [2, 3, 4, 7])
def test_forward_selection_begins_with_the_means_and_keeps_to_the_budget(judge, analysis, top):
    budget = Budget(analysis.bytes_of(published("paper-6").indices), "paper-6")
    ranking = judge.rank_by_forward_selection(analysis, top, budget)
    assert sorted(ranking.order) == list(range(CHANNELS))
    assert np.isfinite(ranking.values).all()
    if top > 3:
        assert set(ranking.order[:3]) == MEANS
    tight = judge.rank_by_forward_selection(
        analysis, top, Budget(analysis.channel_bytes.min() * 1.5)
    )
    assert sorted(tight.order) == list(range(CHANNELS))


def test_forward_values_add_up_to_what_the_channels_gain(split, judge, analysis):
    ranking = judge.rank_by_forward_selection(analysis, 6, Budget())
    chosen = Selection(ranking.order[:6])
    loss = evaluate_selections(split, judge.network, judge.sample, [Selection(()), chosen]).loss
    assert ranking.values.sum() == pytest.approx(loss[0] - loss[1], abs=1e-5)


def test_the_best_is_the_candidate_of_the_least_loss(split, judge, analysis):
    choice = choose(analysis, 24, BEST, Budget(), judge.evaluate)
    losses = evaluate_selections(split, judge.network, judge.sample, choice.candidates).loss
    assert choice.selection.indices == choice.candidates[int(np.argmin(losses))].indices


def test_an_allocation_at_the_stored_steps_is_the_selection(split, judge):
    """And at coarser ones the network sees what a store of those steps has."""
    selection = published("square-24")
    rows = judge.sample.rows[:4]
    stored = Allocation(selection, split.attributes.encoding.precision, 0, 0)
    coarse = Allocation(selection, MIXED, 0, 0)
    views = Views(split, rows, [selection, stored, coarse])
    plain = views.rgb(selection)
    np.testing.assert_allclose(views.rgb(stored), plain, atol=1e-2)
    np.testing.assert_allclose(
        Views(split, rows, [coarse]).rgb(coarse), views.rgb(coarse), atol=1e-2
    )
    assert np.abs(views.rgb(coarse) - plain).mean() > 0.5


def test_the_view_of_an_allocation_is_that_of_a_store_with_its_steps(fine_store, coarse_store):
    """From steps of a sixteenth: but for the 3 % of coefficients that fall on the other side."""
    fine, coarse = (open_store(path)["train"] for path in (fine_store, coarse_store))
    rows = np.flatnonzero(fine.valid)[:8]
    selection = published("square-24")
    allocation = Allocation(selection, MIXED, 0, 0)
    seen = Views(fine, rows, [allocation]).rgb(allocation)
    there = Views(coarse, rows, [selection]).rgb(selection)
    rounding = np.abs(there - Views(fine, rows, [selection]).rgb(selection)).mean()
    assert np.abs(seen - there).mean() < 0.75 * rounding


def test_the_allocation_of_the_least_loss_is_chosen(split, judge, monkeypatch, tmp_path):
    monkeypatch.setattr(NetworkJudge, "load", lambda *_: judge)
    request = StatsRequest(24, budget="square-24", network=tmp_path / "x.npz", fitted=True)
    choice = compute_stats(split, request, workers=Workers(1)).choice
    losses = [one.loss for one in choice.allocation_results]
    assert len(losses) == len(choice.allocations) > 2
    assert choice.allocation is choice.allocations[int(np.argmin(losses))]
    assert choice.allocation_result.loss == min(losses)
    again = judge.evaluate(choice.allocations)
    assert [one.loss for one in again] == pytest.approx(losses)


def test_a_file_that_is_no_network(split, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"x\.npz"):
        NetworkJudge.load(split, path, 5)
