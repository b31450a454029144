"""Findings of the synthetic store, with and without a network's verdicts."""

import dataclasses

import pytest

import freqprep
from freqprep.importance.choice import Judged
from freqprep.importance.request import Inquiry, find
from freqprep.importance.result import Findings, landmark_selections
from freqprep.report.subject import Subject

pytest.importorskip("matplotlib")


@pytest.fixture(scope="session")
def split(store):
    return freqprep.open_store(store)["train"]


@pytest.fixture(scope="session")
def findings(split) -> Findings:
    """As ``stats --top 24`` finds them: within the bytes of the published 24."""
    return find(split, Inquiry(24), jobs=1)


@pytest.fixture(scope="session")
def judged(findings) -> Findings:
    """The same, with verdicts that depend on the number of channels."""
    landmarks = tuple(
        Judged(s.name, s, 3.0 - len(s) / 100, 0.2 + len(s) / 400)
        for s in landmark_selections(findings.choice)
    )
    return dataclasses.replace(findings, landmarks=landmarks, network="toy.npz", sample=50)


@pytest.fixture(scope="session")
def subject(findings) -> Subject:
    return Subject.of(findings)
