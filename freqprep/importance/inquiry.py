"""From what a user asks about the channels of a split to the findings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from freqprep.errors import UsageError
from freqprep.importance.analysis import DEFAULT_SCORE, Analysis
from freqprep.importance.choice import BEST, budget_of, choose
from freqprep.importance.drift import drift
from freqprep.importance.findings import Findings, landmark_selections
from freqprep.importance.judging import NETWORK_SCORES, Jury
from freqprep.importance.ranking import Ranking
from freqprep.importance.score_file import read_scores
from freqprep.store.manifest import MANIFEST
from freqprep.store.reader import Split, Store, open_store


@dataclass(frozen=True)
class Inquiry:
    """What is asked.

    Attributes
    ----------
    top : int
        Choose at most so many channels.
    by : str
        A score's name, or ``best``.
    budget : str or None
        In words; see `proposal.parse_budget` and `choice.budget_of`.
    network : Path or None
        File of a trained network.
    sample : int
        Images that it is shown.
    scores : Path or None
        File of one more score.
    """

    top: int
    by: str = BEST
    budget: str | None = None
    network: Path | None = None
    sample: int = 200
    scores: Path | None = None


def find(
    analysis: Analysis, split: Split, inquiry: Inquiry, against: Analysis | None = None
) -> Findings:
    """Choose channels, ask the network, compare with another split.

    Parameters
    ----------
    analysis : Analysis
        Of ``split``.
    split : Split
    inquiry : Inquiry
    against : Analysis, optional
        Of a split to compare with.

    Raises
    ------
    UsageError
        The inquiry cannot be met; the text says why.
    MissingPackageError
        A network is asked and torch is not installed.
    """
    _check(inquiry)
    budget = budget_of(analysis, split, inquiry.top, inquiry.by, inquiry.budget)
    jury = None
    if inquiry.network is not None:
        jury = Jury.load(split, inquiry.network, inquiry.sample)
    if inquiry.scores is not None:
        analysis = _with(analysis, read_scores(inquiry.scores))
    if jury is not None and inquiry.by in NETWORK_SCORES:
        analysis = _with(analysis, jury.ranking(inquiry.by, analysis, inquiry.top, budget))
    judge = None if jury is None else jury.judge
    choice = choose(analysis, inquiry.top, inquiry.by, budget, judge)
    compared = None
    if against is not None:
        shared = choice.ranking.name in against.rankings
        by = choice.ranking.name if shared else DEFAULT_SCORE
        compared = drift(analysis, against, by, inquiry.top)
    if jury is None:
        return Findings(analysis, choice, drift=compared)
    landmarks = jury.judge(landmark_selections(choice))
    return Findings(analysis, choice, landmarks, jury.name, len(jury.sample), compared)


def other_split(store: Store, split: Split, other: str) -> Split:
    """The split that a user compares with: one of the same store, or of another.

    Parameters
    ----------
    store : Store
    split : Split
        The first; from another store the one of the same name is taken, or its only one.
    other : str
        Name of a split, path of a store, or path of a split in a store.
    """
    if other in store:
        return store[other]
    path = Path(other)
    if (path / MANIFEST).is_file():
        return open_store(path.parent)[path.name]
    if not path.exists():
        raise UsageError(
            f"{other!r} is neither a split of {store.path} ({', '.join(store)}) nor a store",
            "compare with a split, or with the path of a store",
        )
    there = open_store(path)
    return there.only(split.attributes.split if split.attributes.split in there else None)


def _check(inquiry: Inquiry) -> None:
    if inquiry.by in NETWORK_SCORES and inquiry.network is None:
        raise UsageError(
            f"the score {inquiry.by!r} asks a trained network", "name its file with --network"
        )


def _with(analysis: Analysis, ranking: Ranking) -> Analysis:
    """The analysis with one more ranking."""
    if ranking.name in (*analysis.rankings, *analysis.unavailable, BEST):
        raise UsageError(f"there is a score {ranking.name!r} already", "give it another name")
    rankings = {**analysis.rankings, ranking.name: ranking}
    return dataclasses.replace(analysis, rankings=rankings)
