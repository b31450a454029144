"""Statistics of a split's channels, from the request to the result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from freqprep.arguments import check_fields, check_integer
from freqprep.engines import Workers
from freqprep.errors import UsageError, did_you_mean
from freqprep.importance.allocation import Allocation, candidate_allocations
from freqprep.importance.analysis import DEFAULT_SCORE, Analysis, analyse
from freqprep.importance.choice import (
    BEST,
    Budget,
    Choice,
    choose,
    parse_budget,
    with_allocation,
)
from freqprep.importance.drift import Drift, compute_drift
from freqprep.importance.network_judge import FORWARD, NETWORK_SCORES, REMOVAL, NetworkJudge
from freqprep.importance.proposal import check_count
from freqprep.importance.ranking import BYTES, SCORES, Ranking
from freqprep.importance.rate_distortion import FineCodes, Rates, measure_rates
from freqprep.importance.result import StatsResult, landmark_selections
from freqprep.importance.score_file import read_scores
from freqprep.storage.paths import as_path, local_path, take_paths
from freqprep.store.manifest import MANIFEST
from freqprep.store.reader import Split, Store, open_store

_LOCAL = Workers()


@dataclass(frozen=True)
class StatsRequest:
    """Request for the statistics of a split.

    Attributes
    ----------
    top : int
        Number of channels to choose, at most.
    by : str
        Name of the score to choose by, or ``best``.
    budget : str or None
        Size limit of the chosen channels; see `choice.parse_budget`.
    network : Path or None
        File of a trained network to evaluate selections with.
    sample : int
        Number of images to evaluate the network on.
    scores : Path or None
        JSON file of an additional score; see `score_file`.
    fitted : bool
        Whether steps fitted to the data may be proposed: they need a file to be written to.
    """

    top: int
    by: str = BEST
    budget: str | None = None
    network: Path | None = None
    sample: int = 200
    scores: Path | None = None
    fitted: bool = False

    def __post_init__(self) -> None:
        take_paths(self, local_path, "network", "scores")
        check_fields(self)


def compute_stats(
    split: Split,
    request: StatsRequest,
    other: Split | None = None,
    workers: Workers = _LOCAL,
    fine_codes: FineCodes | None = None,
) -> StatsResult:
    """Compute channel statistics of a split, and choose channels by them.

    With a budget and `choice.BEST`, channels and precision are chosen together: the allocation of
    the least predicted distortion or, with a network, of the lowest loss.

    Invalid requests are refused before the pass over the split, which may take long.

    Parameters
    ----------
    split : Split
    request : StatsRequest
    other : Split, optional
        Split to compare with.
    workers : Workers, optional
        By default a process of this machine per core.
    fine_codes : callable, optional
        Codes of the source at fine steps, to measure bytes and distortion by step from: what
        `freqprep.convert.source_sample.source_sample` returns. Without it, the stored codes are
        taken, which say nothing of steps finer than the stored ones.

    Returns
    -------
    StatsResult

    Raises
    ------
    UsageError
        The request is invalid.
    StoreError, CorruptStoreError
        The split has no valid images, or is damaged.
    MissingPackageError
        A network is given, and torch is not installed.
    """
    given = None if request.scores is None else read_scores(request.scores)
    _check(request, given, len(split.attributes.channels))
    parsed_budget = parse_budget(split, request.top, request.by, request.budget)
    judge = None
    if request.network is not None:
        judge = NetworkJudge.load(split, request.network, request.sample)
    analysis = analyse(split, request.top, workers)
    compared_with = None if other is None else analyse(other, request.top, workers)
    budget = parsed_budget.resolve(analysis)
    if given is not None:
        analysis = _with_rankings(analysis, given)
    if judge is not None and request.by == FORWARD:
        analysis = _with_rankings(
            analysis, judge.rank_by_forward_selection(analysis, request.top, budget)
        )
    elif judge is not None and request.by == REMOVAL:
        analysis = _with_rankings(analysis, *judge.rank_by_removal())
    rates = measure_rates(split, analysis.channel_bytes, workers, fine_codes)
    together: list[Allocation] = []
    if request.budget is not None and request.by == BEST:
        together = _allocations(split, rates, budget, request)
    evaluate = None if judge is None else judge.evaluate
    coarser = together[0].selection if together else None
    choice = choose(analysis, request.top, request.by, budget, evaluate, coarser)
    choice = with_allocation(choice, together, evaluate(together) if evaluate and together else ())
    drift = _drift(choice, analysis, compared_with, request)
    result = StatsResult(analysis, choice, rates, drift=drift)
    if judge is None:
        return result
    return dataclasses.replace(
        result,
        landmarks=judge.evaluate(landmark_selections(choice)),
        network=judge.name,
        sample=len(judge.sample),
    )


def _allocations(
    split: Split, rates: Rates, budget: Budget, request: StatsRequest
) -> list[Allocation]:
    """Find channels with a precision within a budget, the least distortion first.

    A network is shown the stored codes, which cannot show it finer steps.
    """
    found = candidate_allocations(rates, budget.limit, request.top, request.fitted)
    if request.network is None:
        return list(found)
    return [
        one
        for one in found
        if all(one.precision.steps[k] >= split.steps[k] for k in one.selection.indices)
    ]


def other_split(store: Store, split: Split, other: str) -> Split:
    """Return the split to compare with, from the same store or another one.

    Parameters
    ----------
    store : Store
    split : Split
        Split that is compared; of another store, the split of the same name or the only one
        is returned.
    other : str
        Name of a split, path or URL of a store, or that of a split in a store.

    Returns
    -------
    Split

    Raises
    ------
    UsageError
        There is no such split.
    """
    if other in store:
        return store[other]
    path = as_path(other)
    if (path / MANIFEST).is_file():
        return open_store(path.parent)[path.name]
    if isinstance(path, Path) and not path.exists():
        raise UsageError(
            f"{other!r} is neither a split of {store.path} ({', '.join(store)}) nor a store",
            f"{did_you_mean(other, store)}compare with a split, or with the path of a store",
        )
    there = open_store(path)
    return there.only(split.attributes.split if split.attributes.split in there else None)


def _check(request: StatsRequest, given: Ranking | None, stored: int) -> None:
    check_count(request.top, stored)
    check_integer("sample", request.sample)
    ours = (*SCORES, BYTES)
    known = (*ours, *NETWORK_SCORES, BEST)
    if given is not None and given.name in known:
        raise UsageError(f"there is a score {given.name!r} already", "rename the score in its file")
    names = [*known, *([] if given is None else [given.name])]
    if request.by not in names:
        remedy = f"{did_you_mean(request.by, names)}known scores: {', '.join(names)}"
        raise UsageError(f"unknown score {request.by!r}", remedy)
    if request.by in NETWORK_SCORES and request.network is None:
        raise UsageError(
            f"the score {request.by!r} needs a trained network", "name its file with --network"
        )


def _with_rankings(analysis: Analysis, *more: Ranking) -> Analysis:
    """Return the analysis with more rankings, of the channels stored."""
    rankings = {ranking.name: ranking.among(set(analysis.stored)) for ranking in more}
    return dataclasses.replace(analysis, rankings=analysis.rankings | rankings)


def _drift(
    choice: Choice, analysis: Analysis, other: Analysis | None, request: StatsRequest
) -> Drift | None:
    """Drift by the score chosen by, or by the default one where the other split lacks it."""
    if other is None:
        return None
    shared = choice.ranking.name in other.rankings
    by = choice.ranking.name if shared else DEFAULT_SCORE
    return compute_drift(analysis, other, by, request.top)
