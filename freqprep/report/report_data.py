"""Data of a report: an analysis, the chosen channels, and numbers computed from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from freqprep.importance.analysis import Analysis
from freqprep.importance.choice import Budget, Choice, NetworkResult
from freqprep.importance.drift import Drift
from freqprep.importance.ranking import Ranking
from freqprep.importance.rate_distortion import Rates
from freqprep.importance.result import StatsResult, network_result_for
from freqprep.spectrum.channels import CHANNELS, Selection

SHOWN_COUNTS = (6, 12, 24, 48, 64)
"""Numbers of channels to reconstruct sample pictures from, besides all that are stored."""


@dataclass(frozen=True)
class ReportData:
    """Result of the statistics, and the numbers that the sections show.

    Attributes
    ----------
    analysis : Analysis
    by : str
        Name of the score, the rule or the published list that gave the selection.
    ranking : Ranking
        Ranking that curves and pictures follow.
    selection : Selection
        The chosen channels.
    budget : Budget
    rates : Rates
    choice : Choice
    network_results : tuple of NetworkResult
    network : str
    sample : int
    drift : Drift or None
    """

    analysis: Analysis
    by: str
    ranking: Ranking
    selection: Selection
    budget: Budget
    rates: Rates
    choice: Choice
    network_results: tuple[NetworkResult, ...]
    network: str
    sample: int
    drift: Drift | None

    @classmethod
    def of(cls, result: StatsResult) -> ReportData:
        """Take the data from a result."""
        choice = result.choice
        return cls(
            result.analysis,
            choice.by,
            choice.ranking,
            choice.selection,
            choice.budget,
            result.rates,
            choice,
            result.landmarks,
            result.network,
            result.sample,
            result.drift,
        )

    @cached_property
    def chosen(self) -> frozenset[int]:
        """Raster indices of the chosen channels."""
        return frozenset(self.selection.indices)

    @property
    def stored(self) -> int:
        """Number of channels stored."""
        return len(self.analysis.stored)

    @cached_property
    def ranks(self) -> np.ndarray:
        """Rank of each channel, 1 the most important, 0 if it is not stored.

        int64 of shape (192,), raster order.
        """
        ranks = np.zeros(CHANNELS, np.int64)
        ranks[list(self.ranking.order)] = np.arange(1, self.stored + 1)
        return ranks

    @cached_property
    def rankings(self) -> tuple[Ranking, ...]:
        """All rankings, the one of the report first."""
        others = (r for r in self.analysis.rankings.values() if r.name != self.ranking.name)
        return (self.ranking, *others)

    def top(self, count: int) -> Selection:
        """Return the first channels of the ranking."""
        return Selection(self.ranking.order[:count], f"top {count}")

    def kilobytes(self, indices: Iterable[int]) -> float:
        """Return the measured KB (1000 bytes) per image of some channels."""
        return self.analysis.bytes_of(indices) / 1e3

    @cached_property
    def chosen_kilobytes(self) -> float:
        """KB per image of the chosen channels: predicted for the steps chosen with them, if any."""
        predicted = self.choice.bytes_per_image
        return self.kilobytes(self.chosen) if predicted is None else predicted / 1e3

    @cached_property
    def chosen_share(self) -> float:
        """Share that these are of the bytes of all channels as stored, 0..1."""
        everything = self.kilobytes(range(CHANNELS))
        return self.chosen_kilobytes / everything if everything else 0.0

    @cached_property
    def energy(self) -> np.ndarray | None:
        """Each channel's share of the energy, float64 of shape (192,), or None if unknown."""
        ranking = self.analysis.rankings.get("energy")
        if ranking is None or not ranking.values.sum() > 0:
            return None
        share: np.ndarray = ranking.values / ranking.values.sum()
        return share

    def published(self) -> list[tuple[str, Selection]]:
        """Return the published selections whose channels are all stored, by name."""
        return [(one.name, one) for one in self.analysis.published]

    def named(self) -> list[tuple[str, Selection]]:
        """Return the chosen selection and the published ones, each set of channels once.

        If a published list is the chosen selection, both share one entry.
        """
        same = [name for name, each in self.published() if set(each.indices) == self.chosen]
        label = f"chosen = {same[0]}" if same else "chosen"
        others = [(name, each) for name, each in self.published() if name not in same]
        return [(label, self.selection), *others]

    def shown(self) -> list[tuple[str, Selection]]:
        """Return the selections to reconstruct sample pictures from, fewest channels first.

        These are the first channels of the ranking; the chosen selection replaces as many.
        """
        shown = {
            count: (f"the first {count}", self.top(count))
            for count in SHOWN_COUNTS
            if count < self.stored
        }
        shown[len(self.selection)] = (f"the {len(self.selection)} chosen", self.selection)
        shown[self.stored] = (f"all {self.stored}", self.top(self.stored))
        return [shown[count] for count in sorted(shown)]

    def network_result(self, indices: Iterable[int]) -> NetworkResult | None:
        """Return the network's result on a set of channels, or None."""
        return network_result_for(self.network_results, indices)
