"""Statistics of a split that stores some channels, and of splits at other steps."""

import json
import math

import numpy as np
import pytest
import subset
import synthetic

import freqprep
from freqprep.engines import Workers
from freqprep.errors import UsageError
from freqprep.importance.analysis import Analysis, analyse
from freqprep.importance.choice import BEST, Budget, candidate_selections
from freqprep.importance.drift import compute_drift
from freqprep.importance.network_evaluation import (
    NetworkSample,
    forward_selection,
    measure_removal,
)
from freqprep.importance.network_judge import NetworkJudge
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.importance.result import landmark_selections, to_document
from freqprep.spectrum.channels import CHANNELS, NAMES, published
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.reader import open_store


@pytest.fixture(scope="module")
def part(subset_store) -> freqprep.Split:
    return open_store(subset_store)["train"]


@pytest.fixture(scope="module")
def stored(part) -> list[int]:
    return sorted(part.attributes.channels)


@pytest.fixture(scope="module")
def here(part) -> Analysis:
    return analyse(part, workers=Workers(1))


@pytest.fixture(scope="module")
def whole(coarse_store) -> Analysis:
    return analyse(open_store(coarse_store)["train"], workers=Workers(1))


def finite(document: object) -> None:
    """JSON data without NaN or infinity."""
    json.dumps(document, allow_nan=False)


def test_rankings_have_the_stored_channels_alone(here, whole, stored):
    assert here.stored == tuple(stored) and not here.unavailable
    for name, ranking in here.rankings.items():
        assert sorted(ranking.order) == stored, name
        assert np.isfinite(ranking.values).all(), name
        assert not np.delete(ranking.values, stored).any(), name
        assert np.isfinite(here.error(name)).all() if name != "bytes" else True
    apart = ("visible", "energy", "std", "mean", "zero_fraction", "entropy", "label_share")
    for name in (*apart, "label_information"):
        kept = [index for index in whole.rankings[name].order if index in set(stored)]
        assert list(here.rankings[name].order) == kept, name
        for analysis in (here, whole):
            assert len(analysis.rankings[name].values) == CHANNELS
        np.testing.assert_allclose(
            here.rankings[name].values[stored], whole.rankings[name].values[stored], err_msg=name
        )


def test_shares_and_psnr_are_of_what_is_stored(here, stored):
    assert here.rankings["energy_share"].values.sum() == pytest.approx(1)
    assert math.isinf(here.psnr(stored)) and math.isfinite(here.psnr(stored[:-1]))
    files = sum(here.channel_bytes[index] for index in stored)
    assert here.bytes_of(range(CHANNELS)) == pytest.approx(files)
    assert [one.name for one in here.published] == ["paper-6", "square-24", "paper-32", "paper-48"]
    for found in here.stability.values():
        assert -1 <= found.spearman <= 1 and 0 <= found.overlap <= 1


@pytest.mark.parametrize(
    ("top", "by", "budget"), [(24, BEST, None), (49, "energy", None), (30, BEST, "square-24")]
)
def test_proposals_are_of_stored_channels(part, stored, top, by, budget):
    result = compute_stats(part, StatsRequest(top, by, budget), workers=Workers(1))
    assert set(result.choice.selection.indices) <= set(stored)
    for candidate in candidate_selections(result.analysis, top, math.inf):
        assert set(candidate.indices) <= set(stored), candidate.name
    for allocation in result.choice.allocations:
        assert set(allocation.selection.indices) <= set(stored)
        assert math.isfinite(allocation.bytes_per_image)
    landmarks = landmark_selections(result.choice)
    assert all(set(one.indices) <= set(stored) for one in landmarks)
    assert any(len(one) == len(stored) for one in landmarks)
    document = to_document(result)
    finite(document)
    assert set(document["scores"]["visible"]["values"]) == {NAMES[index] for index in stored}
    assert [one["name"] for one in document["published"]][-1] == "paper-48"


def test_more_channels_than_are_stored_are_refused_by_number(part):
    with pytest.raises(UsageError, match=r"top 50 channels of the 49 .*; choose 1 to 49"):
        compute_stats(part, StatsRequest(50), workers=Workers(1))
    with pytest.raises(UsageError, match=r"no budget: .* does not store .*y_0_6"):
        compute_stats(part, StatsRequest(24, budget="paper-64"), workers=Workers(1))


def test_the_published_size_is_no_limit_where_it_is_not_stored(coarse_store, tmp_path):
    few = open_store(subset.keep(coarse_store, tmp_path / "few.zarr", range(0, 192, 8)))["train"]
    result = compute_stats(few, StatsRequest(24), workers=Workers(1))
    assert math.isinf(result.choice.budget.limit)
    assert sorted(result.choice.selection.indices) == list(range(0, 192, 8))


def test_one_channel_is_ranked_without_nan(coarse_store, tmp_path):
    one = open_store(subset.keep(coarse_store, tmp_path / "one.zarr", [64]))["train"]
    result = compute_stats(one, StatsRequest(1), workers=Workers(1))
    assert result.choice.selection.names == ("cb_0_0",)
    assert all(found.spearman == 1 for found in result.analysis.stability.values())
    finite(to_document(result))


def test_drift_compares_what_both_store(here, whole, stored):
    for one, other in ((here, whole), (whole, here)):
        found = compute_drift(one, other, "energy", 24)
        assert found.channels == tuple(stored)
        assert (found.spearman, found.overlap) == (pytest.approx(1), 1)
        assert not found.level.any() and not found.mean_shift.any() and not found.rank_change.any()
        assert np.allclose(found.divergence, 0, atol=1e-12)


def test_drift_of_other_steps_is_of_energies_alone(here, store):
    other = analyse(open_store(store)["train"], workers=Workers(1))
    found = compute_drift(here, other, "energy", 24)
    assert found.divergence is None and found.spearman > 0.9
    assert np.isfinite(found.level).all() and np.isfinite(found.standard_errors).all()
    finer = here.steps[list(found.channels)] ** 2 / 12
    energy = [a.rankings["energy"].values[list(found.channels)] for a in (here, other)]
    hidden = np.maximum(*energy) < finer
    assert not found.level[list(found.channels)][hidden].any()


def test_drift_of_int8_and_int16_at_the_same_steps(store, source, tmp_path):
    wide = Precision("wide", "int16", PRECISIONS["int8"].steps)
    other = synthetic.make(source, tmp_path / "wide.zarr", precision=wide, split="val")
    analyses = [analyse(open_store(path)["val"], workers=Workers(1)) for path in (store, other)]
    assert not compute_drift(*analyses, "energy", 24).divergence.any()


def test_splits_without_a_common_channel_are_not_compared(whole, here, coarse_store, tmp_path):
    few = open_store(subset.keep(coarse_store, tmp_path / "few.zarr", [62, 191]))["train"]
    with pytest.raises(UsageError, match="none of the channels"):
        compute_drift(here, analyse(few, workers=Workers(1)), "energy", 2)


class Sign:
    """Toy network of three classes."""

    classes = 3

    def logits(self, rgb):
        return rgb[:, :, 100:108, 100:108].mean(dim=(2, 3)) / 50


@pytest.fixture(scope="module")
def judge(part) -> NetworkJudge:
    pytest.importorskip("torch")
    network = Sign()
    return NetworkJudge(part, network, NetworkSample.gather(part, network, images=5), "toy")


def test_a_network_removes_and_adds_stored_channels(coarse_store, tmp_path, judge, here, stored):
    for ranking in judge.rank_by_removal():
        assert not np.delete(ranking.values, stored).any()
        assert np.isfinite(ranking.values).all() and (
            ranking.error is None or np.isfinite(ranking.error).all()
        )
    found = measure_removal(judge.split, judge.network, judge.sample)
    assert np.isfinite(found.loss_error).all()
    few = open_store(subset.keep(coarse_store, tmp_path / "few.zarr", [0, 1, 64, 65]))["train"]
    added = forward_selection(few, judge.network, judge.sample, 9)
    assert sorted(added.order) == [0, 1, 64, 65]
    few_judge = NetworkJudge(few, judge.network, judge.sample, "toy")
    order = few_judge.rank_by_forward_selection(analyse(few, 4, Workers(1)), 4, Budget()).order
    assert sorted(order) == [0, 1, 64, 65]
    results = judge.evaluate([published("square-24")])
    assert math.isfinite(results[0].loss)
