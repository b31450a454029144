"""Choosing channels: by a score, within a budget, or the best of candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freqprep.errors import UnknownChannelError, UsageError, did_you_mean
from freqprep.importance.analysis import DEFAULT_SCORE, Analysis
from freqprep.importance.proposal import BUDGET_REMEDY, fill, parse_amount, propose
from freqprep.importance.ranking import Ranking
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import (
    PUBLISHED,
    Selection,
    published,
    square_split,
    triangle,
    zigzag,
)
from freqprep.store.selections import saved_selections, select
from freqprep.store.split import Split

BEST = "best"
"""In place of a score's name: what proposes best."""


@dataclass(frozen=True)
class NetworkResult:
    """A trained network's verdict on a selection.

    Attributes
    ----------
    name : str
    selection : Selection
    loss : float
        Mean cross-entropy, nats.
    accuracy : float
        Top-1, 0..1.
    """

    name: str
    selection: Selection
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Budget:
    """Most that the chosen channels may take.

    Attributes
    ----------
    limit : float
        Bytes on disk an image; infinite where there is no limit.
    name : str
        How it was asked for: an amount, or the selection whose bytes it is.
    """

    limit: float = math.inf
    name: str = ""


@dataclass(frozen=True)
class ParsedBudget:
    """A budget as the user wrote it: bytes an image, or a selection that must not be exceeded."""

    name: str
    limit: float | Selection

    def resolve(self, analysis: Analysis) -> Budget:
        """Return the budget in bytes an image."""
        if isinstance(self.limit, Selection):
            return Budget(analysis.bytes_of(self.limit.indices), self.name)
        return Budget(self.limit, self.name)


@dataclass(frozen=True)
class Choice:
    """The chosen channels, and what they were chosen from.

    Attributes
    ----------
    by : str
        The score that the selection was made by, or the candidate that was the best.
    ranking : Ranking
        The channels in the order of that score; of the default one for other candidates.
    selection : Selection
    budget : Budget
    candidates : tuple of Selection
        What each score, each rule and each published list gives within the count and the budget;
        named after it.
    network_results : tuple of NetworkResult
        The network's verdict on each candidate; empty without a network.
    """

    by: str
    ranking: Ranking
    selection: Selection
    budget: Budget
    candidates: tuple[Selection, ...]
    network_results: tuple[NetworkResult, ...] = ()


Judge = Callable[[Sequence[Selection]], tuple[NetworkResult, ...]]


def parse_budget(split: Split, top: int, by: str, budget: str | None) -> ParsedBudget:
    """What the user's words for a budget mean, before any channel's bytes are known.

    Without words there is no limit; but the best (`BEST`) of as many channels as a published
    selection has shall not cost more than that, or the two could not be compared.

    Raises
    ------
    UsageError
        The words are neither an amount nor a selection.
    """
    if budget is None:
        same = [name for name in PUBLISHED if len(published(name)) == top]
        if by != BEST or not same:
            return ParsedBudget("", math.inf)
        budget = same[0]
    amount = parse_amount(budget, int(split.valid.sum()))
    if amount is not None:
        return ParsedBudget(budget, amount)
    if budget.strip().isdecimal():
        raise UsageError(f"a budget of {budget!r} has no unit", BUDGET_REMEDY)
    try:
        return ParsedBudget(budget, select(budget, split))
    except UnknownChannelError:
        remedy = did_you_mean(budget, (*PUBLISHED, *saved_selections(split.path.parent)))
        raise UsageError(f"{budget!r} is no budget", remedy + BUDGET_REMEDY) from None


def choose(
    analysis: Analysis, top: int, by: str, budget: Budget, judge: Judge | None = None
) -> Choice:
    """Choose channels.

    Parameters
    ----------
    analysis : Analysis
    top : int
        At most so many channels, 1..192.
    by : str
        A score, or `BEST`: with a judge the candidate with the least loss, else
        `analysis.DEFAULT_SCORE`.
    budget : Budget
    judge : callable, optional
        A trained network: selections to verdicts.

    Raises
    ------
    UsageError
        Unknown score, wrong count, or a budget that holds no channel.
    """
    score = DEFAULT_SCORE if by == BEST else by
    ranking = analysis.ranking(score)
    chosen = propose(score, ranking.order, top, analysis.channel_bytes, budget.limit)
    candidates = candidate_selections(analysis, top, budget.limit)
    network_results = judge(candidates) if judge else ()
    if by == BEST and network_results:
        best = min(network_results, key=lambda one: one.loss)
        score, chosen = best.name, best.selection
        ranking = analysis.rankings.get(score, ranking)
    return Choice(score, ranking, chosen, budget, candidates, network_results)


def candidate_selections(analysis: Analysis, top: int, limit: float) -> tuple[Selection, ...]:
    """What each score, each rule and each published list gives within a count and a budget.

    Selections of the same channels appear once, under their first name; a list or a rule that
    costs too much not at all.
    """
    cost = analysis.channel_bytes
    filled = {
        name: fill(ranking.order, top, cost, limit) for name, ranking in analysis.rankings.items()
    }
    proposals = [Selection(tuple(taken), name) for name, taken in filled.items() if taken]
    given = [
        selection
        for selection in (*map(published, PUBLISHED), *rules(top))
        if len(selection) <= top and analysis.bytes_of(selection.indices) <= limit
    ]
    unique: dict[frozenset[int], Selection] = {}
    for selection in (*proposals, *given):
        unique.setdefault(frozenset(selection.indices), selection)
    return tuple(unique.values())


def rules(top: int) -> list[Selection]:
    """Square, triangle and zigzag selections with different shares of chroma.

    Triangles and zigzags have ``top`` channels, squares the most that are not more.
    """
    squares = [
        square_split(min(math.isqrt(top - 2 * side**2), BLOCK), side)
        for side in range(BLOCK + 1)
        if 2 * side**2 < top
    ]
    splits = [(top - 2 * chroma, chroma) for chroma in range(min(top // 4, 64) + 1)]
    within = [(luma, chroma) for luma, chroma in splits if luma <= 64]
    return [triangle(top), *squares, *(zigzag(luma, chroma, chroma) for luma, chroma in within)]
