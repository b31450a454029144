"""Trained network that evaluates selections and ranks channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqprep.importance.analysis import DEFAULT_SCORE, Analysis
from freqprep.importance.choice import Budget, NetworkResult
from freqprep.importance.network_evaluation import (
    Network,
    NetworkSample,
    evaluate_selections,
    forward_selection,
    measure_removal,
)
from freqprep.importance.network_view import Viewed
from freqprep.importance.ranking import Ranking, by_size
from freqprep.models.rgb import load_rgb_network
from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.store.split import Split

REMOVAL = "removal"
FORWARD = "forward"
NETWORK_SCORES = (REMOVAL, FORWARD)
"""Scores that need a network: 193 evaluations of the sample; about ten per chosen channel."""

_MEANS = tuple(component * FREQUENCIES for component in range(len(COMPONENTS)))


@dataclass(frozen=True)
class NetworkJudge:
    """Trained network, and the images to evaluate it on.

    Attributes
    ----------
    split : Split
    network : Network
    sample : NetworkSample
    name : str
        Name of the file.
    """

    split: Split
    network: Network
    sample: NetworkSample
    name: str

    @classmethod
    def load(cls, split: Split, path: Path, images: int) -> NetworkJudge:
        """Load a network, and draw the sample.

        Raises
        ------
        UsageError
            The file holds no such network, or the split cannot be used with it.
        MissingPackageError
            torch is not installed.
        """
        network = load_rgb_network(path)
        return cls(split, network, NetworkSample.gather(split, network, images=images), path.name)

    def evaluate(self, viewed: Sequence[Viewed]) -> tuple[NetworkResult, ...]:
        """Evaluate the network on each selection or allocation."""
        outcomes = evaluate_selections(self.split, self.network, self.sample, viewed)
        return tuple(
            NetworkResult(
                one.name,
                one if isinstance(one, Selection) else one.selection,
                float(loss),
                float(accuracy),
            )
            for one, loss, accuracy in zip(viewed, outcomes.loss, outcomes.accuracy, strict=True)
        )

    def rank_by_removal(self) -> tuple[Ranking, Ranking]:
        """Rank channels by the change of cross-entropy, and of accuracy, without each of them."""
        found = measure_removal(self.split, self.network, self.sample)
        loss, accuracy = found.loss_change, found.accuracy_change
        error = found.loss_error if len(self.sample) > 1 else None
        meaning = "what the network's cross-entropy rises by without the channel"
        share = "change of the share of right answers without the channel; the largest fall first"
        return (
            Ranking(REMOVAL, "nats", meaning, loss, by_size(loss), error),
            Ranking(f"{REMOVAL}_accuracy", "share", share, accuracy, by_size(-accuracy)),
        )

    def rank_by_forward_selection(self, analysis: Analysis, top: int, budget: Budget) -> Ranking:
        """Rank channels by forward selection.

        Parameters
        ----------
        analysis : Analysis
        top : int
            Number of channels to select, the three means first; the others follow in the order
            of the default score.
        budget : Budget
            Size limit of the selected channels.

        Returns
        -------
        Ranking
        """
        # On grey images a network's loss is not informative: start with the mean colours.
        fits = analysis.bytes_of(_MEANS) <= budget.limit and {*_MEANS} <= {*analysis.stored}
        start = _MEANS if top > len(_MEANS) and fits else ()
        found = forward_selection(
            self.split,
            self.network,
            self.sample,
            top - len(start),
            channel_bytes=analysis.channel_bytes,
            byte_limit=budget.limit,
            start=start,
        )
        begun = evaluate_selections(
            self.split, self.network, self.sample, [Selection(()), Selection(start)]
        )
        values = np.zeros(CHANNELS)
        values[list(found.order)] = -np.diff([begun.loss[1], *found.losses])
        values[list(start)] = (begun.loss[0] - begun.loss[1]) / len(_MEANS)
        chosen = (*start, *found.order)
        rest = [k for k in analysis.ranking(DEFAULT_SCORE).order if k not in chosen]
        meaning = "what the network's cross-entropy falls by when channels are added best first"
        return Ranking(FORWARD, "nats", meaning, values, (*chosen, *rest))
