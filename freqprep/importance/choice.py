"""Choosing channels: by a score, within a budget, or the best of candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from freqprep.errors import UnknownChannelError, UsageError, did_you_mean
from freqprep.importance.allocation import Allocation
from freqprep.importance.analysis import DEFAULT_SCORE, Analysis
from freqprep.importance.proposal import BUDGET_REMEDY, fill, parse_amount, propose
from freqprep.importance.ranking import Ranking
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import (
    PUBLISHED,
    Selection,
    published_within,
    square_split,
    triangle,
    zigzag,
)
from freqprep.spectrum.quantization import Precision
from freqprep.store.selections import saved_selections, select
from freqprep.store.split import Split

BEST = "best"
"""Stands for the best selection, in place of a score's name."""


@dataclass(frozen=True)
class NetworkResult:
    """Loss and accuracy of a trained network on images from a selection.

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
    """Size limit of the chosen channels.

    Attributes
    ----------
    limit : float
        Bytes on disk per image; infinite without a limit.
    name : str
        The budget as given: an amount, or the name of a selection.
    """

    limit: float = math.inf
    name: str = ""


@dataclass(frozen=True)
class ParsedBudget:
    """Budget as the user gave it: bytes per image, or a selection whose size is the limit."""

    name: str
    limit: float | Selection

    def resolve(self, analysis: Analysis) -> Budget:
        """Return the budget in bytes per image."""
        if isinstance(self.limit, Selection):
            return Budget(analysis.bytes_of(self.limit.indices), self.name)
        return Budget(self.limit, self.name)


@dataclass(frozen=True)
class Choice:
    """Chosen channels, and the candidates they were chosen from.

    Attributes
    ----------
    by : str
        Name of the score that ranked the channels, or of the best candidate.
    ranking : Ranking
        Ranking by that score, or by the default score for other candidates.
    selection : Selection
    budget : Budget
    candidates : tuple of Selection
        Selection of each score, each rule and each published list within the count and the
        budget, named after it.
    network_results : tuple of NetworkResult
        Result of each candidate; empty without a network.
    allocation : Allocation or None
        The chosen channels with the precision chosen for them; None if channels were chosen by
        themselves, at the steps they are stored with.
    allocations : tuple of Allocation
        Candidates that it was chosen from, those of the least predicted distortion first.
    allocation_results : tuple of NetworkResult
        Result of each of these; empty without a network.
    """

    by: str
    ranking: Ranking
    selection: Selection
    budget: Budget
    candidates: tuple[Selection, ...]
    network_results: tuple[NetworkResult, ...] = ()
    allocation: Allocation | None = None
    allocations: tuple[Allocation, ...] = ()
    allocation_results: tuple[NetworkResult, ...] = ()

    @property
    def allocation_result(self) -> NetworkResult | None:
        """The network's result on the chosen allocation, if there are both."""
        pairs = zip(self.allocations, self.allocation_results, strict=False)
        return next((result for one, result in pairs if one is self.allocation), None)

    @property
    def bytes_per_image(self) -> float | None:
        """Predicted bytes on disk per image of the chosen allocation, if there is one."""
        return None if self.allocation is None else self.allocation.bytes_per_image

    def with_other_steps(self, stored: Precision) -> Allocation | None:
        """Return the chosen allocation if its precision is not the stored one."""
        allocation = self.allocation
        return None if allocation is None or allocation.precision == stored else allocation


Judge = Callable[[Sequence[Selection]], tuple[NetworkResult, ...]]


def parse_budget(split: Split, top: int, by: str, budget: str | None) -> ParsedBudget:
    """Parse a budget, before the bytes of the channels are known.

    By default there is no limit, except for `BEST` with the count of a published selection: its
    size is then the limit, so that the two can be compared.

    Parameters
    ----------
    split : Split
    top : int
        Number of channels to choose, at most.
    by : str
        Name of a score, or `BEST`.
    budget : str or None
        An amount (see `proposal.parse_amount`), or a selection whose size is the limit.

    Returns
    -------
    ParsedBudget

    Raises
    ------
    UsageError
        The budget is neither an amount nor a selection.
    """
    if budget is None:
        lists = published_within(split.attributes.channels)
        same = [one.name for one in lists if len(one) == top]
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
    except UnknownChannelError as error:
        remedy = did_you_mean(budget, (*PUBLISHED, *saved_selections(split.path.parent)))
        what = f"{budget!r} is no budget: {error.message}"
        raise UsageError(what, remedy + BUDGET_REMEDY) from None


def choose(
    analysis: Analysis,
    top: int,
    by: str,
    budget: Budget,
    judge: Judge | None = None,
    instead: Selection | None = None,
) -> Choice:
    """Choose channels by a score, or the best of the candidates.

    Parameters
    ----------
    analysis : Analysis
    top : int
        Number of channels to choose, at most; from 1 to the number stored.
    by : str
        Name of a score, or `BEST`: with a judge the candidate of the lowest loss, else
        `analysis.DEFAULT_SCORE`.
    budget : Budget
    judge : callable, optional
        Function from selections to network results.
    instead : Selection, optional
        What is chosen where the budget is too small at the stored steps.

    Returns
    -------
    Choice

    Raises
    ------
    UsageError
        The score is unknown, the count out of range, or the budget too small for any channel.
    """
    score = DEFAULT_SCORE if by == BEST else by
    ranking = analysis.ranking(score)
    try:
        chosen = propose(score, ranking.order, top, analysis.channel_bytes, budget.limit)
    except UsageError:
        if instead is None:
            raise
        chosen = instead
    candidates = candidate_selections(analysis, top, budget.limit)
    network_results = judge(candidates) if judge else ()
    if by == BEST and network_results:
        best = min(network_results, key=lambda one: one.loss)
        score, chosen = best.name, best.selection
        ranking = analysis.rankings.get(score, ranking)
    return Choice(score, ranking, chosen, budget, candidates, network_results)


def with_allocation(
    choice: Choice, candidates: Sequence[Allocation], results: Sequence[NetworkResult]
) -> Choice:
    """Replace the chosen channels by the best of some allocations.

    Parameters
    ----------
    choice : Choice
    candidates : sequence of Allocation
        Those of the least predicted distortion first.
    results : sequence of NetworkResult
        Result of each, or none: the lowest loss is then the best, else the least distortion.

    Returns
    -------
    Choice
        Unchanged if there are no candidates.
    """
    if not candidates:
        return choice
    losses = [result.loss for result in results]
    best = candidates[losses.index(min(losses)) if losses else 0]
    return replace(
        choice,
        by=best.name,
        selection=best.selection,
        allocation=best,
        allocations=tuple(candidates),
        allocation_results=tuple(results),
    )


def candidate_selections(analysis: Analysis, top: int, limit: float) -> tuple[Selection, ...]:
    """Return the selection of each score, each rule and each published list within limits.

    Selections of the same channels appear once, under their first name. Lists and rules above the
    limits, or with channels that are not stored, are left out.

    Parameters
    ----------
    analysis : Analysis
    top : int
        Number of channels, at most.
    limit : float
        Bytes on disk per image, at most.

    Returns
    -------
    tuple of Selection
    """
    cost, stored = analysis.channel_bytes, set(analysis.stored)
    filled = {
        name: fill(ranking.order, top, cost, limit) for name, ranking in analysis.rankings.items()
    }
    proposals = [Selection(tuple(taken), name) for name, taken in filled.items() if taken]
    given = [
        selection
        for selection in (*analysis.published, *rules(top))
        if len(selection) <= top
        and stored.issuperset(selection.indices)
        and analysis.bytes_of(selection.indices) <= limit
    ]
    unique: dict[frozenset[int], Selection] = {}
    for selection in (*proposals, *given):
        unique.setdefault(frozenset(selection.indices), selection)
    return tuple(unique.values())


def rules(top: int) -> list[Selection]:
    """Return square, triangle and zigzag selections with different shares of chroma.

    Triangles and zigzags have ``top`` channels, squares as many as fit.
    """
    squares = [
        square_split(min(math.isqrt(top - 2 * side**2), BLOCK), side)
        for side in range(BLOCK + 1)
        if 2 * side**2 < top
    ]
    splits = [(top - 2 * chroma, chroma) for chroma in range(min(top // 4, 64) + 1)]
    within = [(luma, chroma) for luma, chroma in splits if luma <= 64]
    return [triangle(top), *squares, *(zigzag(luma, chroma, chroma) for luma, chroma in within)]
