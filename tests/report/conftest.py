"""StatsResult of the synthetic store, with and without a network's verdicts."""

import dataclasses

import pytest

import freqprep
from freqprep.importance.choice import NetworkResult
from freqprep.importance.request import StatsRequest, find
from freqprep.importance.result import StatsResult, landmark_selections
from freqprep.report.subject import Subject

pytest.importorskip("matplotlib")


@pytest.fixture(scope="session")
def split(store):
    return freqprep.open_store(store)["train"]


@pytest.fixture(scope="session")
def findings(split) -> StatsResult:
    """As ``stats --top 24`` finds them: within the bytes of the published 24."""
    return find(split, StatsRequest(24), jobs=1)


@pytest.fixture(scope="session")
def judged(findings) -> StatsResult:
    """The same, with verdicts that depend on the number of channels."""
    landmarks = tuple(
        NetworkResult(s.name, s, 3.0 - len(s) / 100, 0.2 + len(s) / 400)
        for s in landmark_selections(findings.choice)
    )
    return dataclasses.replace(findings, landmarks=landmarks, network="toy.npz", sample=50)


@pytest.fixture(scope="session")
def subject(findings) -> Subject:
    return Subject.of(findings)
