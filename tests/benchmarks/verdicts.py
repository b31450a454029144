"""Results of a trained network for many selections, each evaluated once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from freqprep.importance.network_evaluation import evaluate_selections
from freqprep.importance.network_judge import NetworkJudge
from freqprep.spectrum.channels import Selection
from freqprep.store.split import Split

_AT_ONCE = 40


class Verdicts:
    """Cross-entropy and correctness of every image, by the set of channels.

    Parameters
    ----------
    split : Split
    weights : Path
        File of the network's weights.
    images : int or None
        Images to evaluate; all by default, in row order.
    """

    def __init__(self, split: Split, weights: Path, images: int | None = None) -> None:
        self.judge = NetworkJudge.load(split, weights, len(split) if images is None else images)
        self._known: dict[frozenset[int], tuple[np.ndarray, np.ndarray]] = {}

    def ask(self, selections: Iterable[Sequence[int]]) -> None:
        """Evaluate the selections without a result."""
        wanted = {frozenset(indices) for indices in selections} - set(self._known)
        new = sorted(map(sorted, wanted))
        for first in range(0, len(new), _AT_ONCE):
            part = [Selection(tuple(indices)) for indices in new[first : first + _AT_ONCE]]
            judge = self.judge
            found = evaluate_selections(judge.split, judge.network, judge.sample, part)
            for asked, loss, correct in zip(part, found.cross_entropy, found.correct, strict=True):
                self._known[frozenset(asked.indices)] = loss, correct

    def loss(self, indices: Sequence[int]) -> np.ndarray:
        """Cross-entropy of each image, nats."""
        self.ask([indices])
        return self._known[frozenset(indices)][0]

    def correct(self, indices: Sequence[int]) -> np.ndarray:
        """Whether the prediction for each image is correct."""
        self.ask([indices])
        return self._known[frozenset(indices)][1]
