"""Statistics of the synthetic store, with and without a network's verdicts."""

import dataclasses

import pytest

import freqprep
from freqprep.engines import Workers
from freqprep.importance.choice import NetworkResult, with_allocation
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.importance.result import StatsResult, landmark_selections
from freqprep.report.report_data import ReportData


@pytest.fixture(autouse=True, scope="session")
def matplotlib():
    """Every report is drawn with it."""
    return pytest.importorskip("matplotlib")


@pytest.fixture(scope="session")
def split(store):
    return freqprep.open_store(store)["train"]


@pytest.fixture(scope="session")
def result(split) -> StatsResult:
    """As ``stats --top 24`` finds them: within the bytes of the published 24."""
    return compute_stats(split, StatsRequest(24), workers=Workers(1))


@pytest.fixture(scope="session")
def with_network(result) -> StatsResult:
    """The same, with verdicts that depend on the number of channels."""
    landmarks = tuple(
        NetworkResult(s.name, s, 3.0 - len(s) / 100, 0.2 + len(s) / 400)
        for s in landmark_selections(result.choice)
    )
    return dataclasses.replace(result, landmarks=landmarks, network="toy.npz", sample=50)


@pytest.fixture(scope="session")
def joint(split) -> StatsResult:
    """As ``stats --top 48 --budget square-24`` finds them, with results of a network."""
    result = compute_stats(
        split, StatsRequest(48, budget="square-24", fitted=True), workers=Workers(1)
    )
    results = [
        NetworkResult(one.name, one.selection, 2.0 - one.psnr / 100, one.psnr / 100)
        for one in result.choice.allocations
    ]
    return dataclasses.replace(
        result, choice=with_allocation(result.choice, result.choice.allocations, results)
    )


@pytest.fixture(scope="session")
def report(result) -> ReportData:
    return ReportData.of(result)
