"""Result of ``freqprep stats``, and its JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from freqprep.importance.analysis import Analysis
from freqprep.importance.choice import Choice, NetworkResult
from freqprep.importance.drift import Drift
from freqprep.importance.rate_distortion import Rates
from freqprep.spectrum.channels import NAMES, Selection, published_within
from freqprep.spectrum.quantization import Precision

LANDMARKS = (6, 12, 24, 32, 48, 64, 192)
"""Numbers of top channels that a network is evaluated on."""


@dataclass(frozen=True)
class StatsResult:
    """Analysis of a split, the choice of channels, and a network's results.

    Attributes
    ----------
    analysis : Analysis
    choice : Choice
    rates : Rates
        Bytes and distortion of each channel by step.
    landmarks : tuple of NetworkResult
        Results of `landmark_selections`; empty without a network.
    network : str
        Name of the network's file; empty without a network.
    sample : int
        Number of images that the network was evaluated on.
    drift : Drift or None
    """

    analysis: Analysis
    choice: Choice
    rates: Rates
    landmarks: tuple[NetworkResult, ...] = ()
    network: str = ""
    sample: int = 0
    drift: Drift | None = None


def landmark_selections(choice: Choice) -> list[Selection]:
    """Return the chosen selection, the ranking's tops at `LANDMARKS`, and the published ones.

    Of channels that are not all stored, none.
    """
    ranking = choice.ranking
    every = len(ranking.order)
    counts = [*(count for count in LANDMARKS if count < every), every]
    tops = [Selection(ranking.order[:count], f"{ranking.name}-{count}") for count in counts]
    chosen = Selection(choice.selection.indices, "chosen")
    return [chosen, *tops, *published_within(ranking.order)]


def jaccard(one: Iterable[int], other: Iterable[int]) -> float:
    """Return the Jaccard index of two sets of channels, intersection over union."""
    first, second = set(one), set(other)
    return len(first & second) / max(len(first | second), 1)


def to_document(result: StatsResult) -> dict[str, Any]:
    """Convert a result to JSON data without NaN or infinity."""
    analysis, choice = result.analysis, result.choice
    indices = choice.selection.indices
    limit = choice.budget.limit
    return {
        "store": analysis.store,
        **made_from(result),
        "rejected": analysis.rejected,
        "blocks": analysis.blocks,
        "budget_bytes_per_image": None if math.isinf(limit) else limit,
        "selection": list(choice.selection.names),
        **_size_and_psnr(analysis, choice.selection),
        **_precision(result),
        "candidates": [
            {"name": candidate.name, "selection": list(candidate.names)}
            | _size_and_psnr(analysis, candidate)
            | _network_figures(choice.network_results, candidate)
            for candidate in choice.candidates
        ],
        "published": [
            {"name": one.name}
            | _size_and_psnr(analysis, one)
            | _network_figures(result.landmarks, one)
            | {"jaccard": jaccard(indices, one.indices)}
            for one in analysis.published
        ],
        "landmarks": [
            {"name": landmark.name, "channels": len(landmark.selection)}
            | _size_and_psnr(analysis, landmark.selection)
            | _network_figures(result.landmarks, landmark.selection)
            for landmark in result.landmarks
        ],
        "scores": {name: _score(result, name) for name in analysis.rankings},
        "unavailable": analysis.unavailable,
        "drift": None if result.drift is None else _drift(result.drift),
    }


def chosen_precision(result: StatsResult) -> Precision:
    """Return the precision that the chosen channels are proposed with."""
    allocation = result.choice.allocation
    return result.rates.precision if allocation is None else allocation.precision


def _precision(result: StatsResult) -> dict[str, Any]:
    """Return the precision and, of a joint choice, what it predicts and what it was chosen of."""
    precision, choice = chosen_precision(result), result.choice
    document: dict[str, Any] = {
        "precision": precision.name,
        "steps": None if precision.is_predefined else precision.to_dict()["steps"],
        "allocations": [
            {
                "name": one.name,
                "precision": one.precision.name,
                "selection": list(one.selection.names),
                "bytes_per_image": one.bytes_per_image,
                "psnr_visible": _finite(one.psnr),
            }
            | ({} if result is None else {"loss": result.loss, "accuracy": result.accuracy})
            for one, result in zip_longest(choice.allocations, choice.allocation_results)
        ],
    }
    if choice.bytes_per_image is not None:
        document["bytes_per_image"] = choice.bytes_per_image
    if (other := choice.with_other_steps(result.rates.precision)) is not None:
        # That in RGB is of the channels alone, at the stored steps: it is not what these bytes buy.
        document |= {"psnr_rgb": None, "psnr_visible": _finite(other.psnr)}
    return document


def made_from(result: StatsResult) -> dict[str, Any]:
    """Return the origin of the chosen selection, to be saved with it."""
    analysis, choice = result.analysis, result.choice
    described = _size_and_psnr(analysis, choice.selection) | _precision(result)
    return {
        "split": analysis.split,
        "content_id": analysis.content_id,
        "images": analysis.images,
        "by": choice.by,
        "budget": choice.budget.name or None,
        "bytes_per_image": described["bytes_per_image"],
        "psnr_rgb": described["psnr_rgb"],
        "precision": described["precision"],
        "network": result.network or None,
        "network_images": result.sample,
    }


def _size_and_psnr(analysis: Analysis, selection: Selection) -> dict[str, Any]:
    psnr = analysis.psnr(selection.indices)
    return {
        "count": len(selection),
        "bytes_per_image": analysis.bytes_of(selection.indices),
        "psnr_rgb": _finite(psnr),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def network_result_for(
    results: Iterable[NetworkResult], indices: Iterable[int]
) -> NetworkResult | None:
    """Return the network's result on a set of channels, whatever its name, or None."""
    wanted = frozenset(indices)
    return next((one for one in results if frozenset(one.selection.indices) == wanted), None)


def _network_figures(results: Iterable[NetworkResult], selection: Selection) -> dict[str, Any]:
    found = network_result_for(results, selection.indices)
    return {} if found is None else {"loss": found.loss, "accuracy": found.accuracy}


def _score(result: StatsResult, name: str) -> dict[str, Any]:
    ranking, stored = result.analysis.rankings[name], result.analysis.stored
    document: dict[str, Any] = {
        "unit": ranking.unit,
        "meaning": ranking.meaning,
        "values": _by_channel(ranking.values, stored),
        "order": [NAMES[index] for index in ranking.order],
        "standard_error": _by_channel(result.analysis.error(name), stored),
        "stability": None,
    }
    if found := result.analysis.stability.get(name):
        document["stability"] = {
            "spearman": found.spearman,
            "spearman_sd": found.spearman_sd,
            "top": found.top,
            "overlap": found.overlap,
            "overlap_sd": found.overlap_sd,
        }
    return document


def _by_channel(values: np.ndarray | None, indices: Sequence[int]) -> dict[str, Any] | None:
    return None if values is None else {NAMES[index]: values[index].item() for index in indices}


def _drift(found: Drift) -> dict[str, Any]:
    return {
        "other": found.other,
        "by": found.by,
        "spearman": found.spearman,
        "overlap": found.overlap,
        "below_rounding": [NAMES[index] for index in np.flatnonzero(found.below_rounding)],
        "level_db": _by_channel(found.level, found.channels),
        "standard_errors": _by_channel(found.standard_errors, found.channels),
        "mean_shift": _by_channel(found.mean_shift, found.channels),
        "divergence_bits": _by_channel(found.divergence, found.channels),
        "rank_change": _by_channel(found.rank_change, found.channels),
    }
