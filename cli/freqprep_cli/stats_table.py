"""Text output of ``freqprep stats``."""

from __future__ import annotations

import math
from itertools import zip_longest

import numpy as np

from freqprep.importance.advice import advice
from freqprep.importance.analysis import Analysis
from freqprep.importance.drift import Drift
from freqprep.importance.result import StatsResult, jaccard, network_result_for
from freqprep.spectrum.channels import CHANNELS, NAMES, Selection
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import percent, plural, size
from freqprep.text.terminal import columns, paragraph, shortened

_MOST_DRIFTED = 12
_WIDEST_SCORE = 18


def describe(result: StatsResult, steps: AnyPath | None = None) -> str:
    """Return a result as text; ``steps`` is the steps file that was written, if one was."""
    parts = [
        _head(result),
        _ranking(result),
        _chosen(result),
        _candidates(result),
        _allocations(result, steps),
        _stability(result),
    ]
    if result.drift is not None:
        parts.append(_drift(result, result.drift))
    return "\n\n".join(parts)


def _head(result: StatsResult) -> str:
    analysis, choice = result.analysis, result.choice
    rejected = f", {analysis.rejected} rejected left out" if analysis.rejected else ""
    lines = [
        f"{analysis.split} of {analysis.store}: {plural(analysis.images, 'image')}{rejected}, "
        f"{analysis.blocks} blocks a component",
        f"ranked by {choice.ranking.name}: {choice.ranking.meaning}",
    ]
    if math.isfinite(choice.budget.limit):
        lines.append(f"budget {choice.budget.name}: {size(choice.budget.limit)} an image")
    return "\n".join(map(paragraph, lines))


def _ranking(result: StatsResult) -> str:
    analysis, ranking = result.analysis, result.choice.ranking
    chosen = set(result.choice.selection.indices)
    error = analysis.error(ranking.name)
    share, zero = (analysis.rankings[name].values for name in ("energy_share", "zero_fraction"))
    rows = []
    for rank, index in enumerate(ranking.order, start=1):
        if rank > len(chosen) and index not in chosen:
            continue
        value = _digits(ranking.values[index], 3)
        rows.append(
            (
                f"{rank}{' *' * (index in chosen)}",
                NAMES[index],
                value if error is None else f"{value} +-{_digits(error[index], 1)}",
                percent(share[index], space=True),
                percent(zero[index], space=True),
                size(analysis.channel_bytes[index]),
                size(analysis.bytes_of(ranking.order[:rank])),
                _db(analysis.psnr(ranking.order[:rank])),
            )
        )
    score = shortened(ranking.name, _WIDEST_SCORE)
    heads = ("rank", "channel", score, "energy", "zeros", "on disk", "so far", "PSNR")
    return (
        f"{columns(heads, rows)}\n  * chosen; on disk: bytes an image; so far, PSNR: down to here"
    )


def _digits(value: float, digits: int) -> str:
    """A number with significant digits, its exponent without a plus sign and leading zeros."""
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _chosen(result: StatsResult) -> str:
    analysis, choice = result.analysis, result.choice
    indices = choice.selection.indices
    every, stored = analysis.channel_bytes.sum(), len(analysis.stored)
    cost = analysis.bytes_of(indices) if choice.bytes_per_image is None else choice.bytes_per_image
    with_steps, as_stored = "", ""
    if choice.allocation is not None:
        with_steps = " with its steps"
        as_stored = f"; {size(analysis.bytes_of(indices))} as stored"
    near = f"PSNR {_db(analysis.psnr(indices))} in RGB against all {stored}"
    if (other := choice.with_other_steps(result.rates.precision)) is not None:
        near = f"visible PSNR {_db(other.psnr)} with them"
    outcome = choice.allocation_result or network_result_for(result.landmarks, indices)
    network = ""
    if outcome is not None:
        network = f"; {result.network}: cross-entropy {outcome.loss:.3f}, top-1 "
        network += f"{percent(outcome.accuracy, space=True)} of {plural(result.sample, 'image')}"
    return (
        paragraph(
            f"chosen by {choice.by}: {plural(len(indices), 'channel')}, "
            f"{size(cost)} an image{with_steps} "
            f"({percent(cost / every, 0, space=True)} of all {stored}{as_stored}), "
            f"{near}{network}"
        )
        + f"\n{','.join(choice.selection.names)}"
    )


def _candidates(result: StatsResult) -> str:
    """Table of the candidates and the published lists."""
    choice = result.choice
    listed = {frozenset(candidate.indices) for candidate in choice.candidates}
    others = result.analysis.published
    unlisted = [other for other in others if frozenset(other.indices) not in listed]
    network_results = (*result.landmarks, *choice.network_results)
    heads = ["selection", "channels", "on disk", "PSNR", "overlap"]
    heads += ["loss", "top-1"] if network_results else []
    rows = []
    for selection in (*choice.candidates, *unlisted):
        row = _candidate(result.analysis, choice.selection, selection)
        if outcome := network_result_for(network_results, selection.indices):
            row += [f"{outcome.loss:.3f}", percent(outcome.accuracy, space=True)]
        rows.append(row + [""] * (len(heads) - len(row)))
    return "within the same count and budget, and the published:\n" + columns(heads, rows)


def _allocations(result: StatsResult, steps: AnyPath | None) -> str:
    """What to convert with, and the allocations it was chosen from."""
    choice = result.choice
    text = paragraph(advice(choice, result.rates, steps))
    if not choice.allocations:
        return text
    heads = ["channels at precision", "channels", "on disk", "visible PSNR"]
    heads += ["loss", "top-1"] if choice.allocation_results else []
    rows = []
    for one, found in zip_longest(choice.allocations, choice.allocation_results):
        name = f"{one.name}{' *' * (one is choice.allocation)}"
        row = [name, str(len(one.selection)), size(one.bytes_per_image), _db(one.psnr)]
        row += [f"{found.loss:.3f}", percent(found.accuracy, space=True)] if found else []
        rows.append(row)
    return f"{text}\n{columns(heads, rows)}"


def _candidate(analysis: Analysis, chosen: Selection, selection: Selection) -> list[str]:
    return [
        selection.name,
        str(len(selection)),
        size(analysis.bytes_of(selection.indices)),
        _db(analysis.psnr(selection.indices)),
        percent(jaccard(chosen.indices, selection.indices), 0, space=True),
    ]


def _stability(result: StatsResult) -> str:
    analysis, name = result.analysis, result.choice.ranking.name
    found = analysis.stability.get(name)
    if found is None:
        lines = [f"no halves of the data to compare {name} on"]
    else:
        lines = [
            f"between random halves of the data, {name} agrees to {found.spearman:.3f} "
            f"+-{found.spearman_sd:.3f} (Spearman) and shares {100 * found.overlap:.0f} "
            f"+-{percent(found.overlap_sd, 0, space=True)} of the top {found.top}"
        ]
    reasons: dict[str, list[str]] = {}
    for score, reason in analysis.unavailable.items():
        reasons.setdefault(reason, []).append(score)
    lines += [f"not computed: {', '.join(names)} ({why})" for why, names in reasons.items()]
    return "\n".join(map(paragraph, lines))


def _drift(result: StatsResult, drift: Drift) -> str:
    errors = drift.standard_errors
    strength = np.abs(drift.level if errors is None else errors)
    rows = []
    compared = [index for index in drift.channels if not drift.below_rounding[index]]
    strongest = sorted(compared, key=lambda index: -strength[index])
    for index in strongest[:_MOST_DRIFTED]:
        rows.append(
            (
                NAMES[index],
                f"{drift.level[index]:+.2f} dB",
                "" if errors is None else f"{errors[index]:+.1f}",
                f"{drift.mean_shift[index]:+.3f}",
                "" if drift.divergence is None else f"{drift.divergence[index]:.4f}",
                f"{drift.rank_change[index]:+d}",
            )
        )
    notes = []
    if count := len(drift.channels) - len(compared):
        notes.append(
            f"left out: {plural(count, 'channel')} with less energy than the error of rounding "
            "in both, whose ranks mean nothing"
        )
    if len(drift.channels) < max(len(result.analysis.stored), CHANNELS):
        notes.append(f"compared: the {plural(len(drift.channels), 'channel')} that both store")
    if drift.divergence is None:
        notes.append("no divergence: the quantization steps differ")
    heads = ("channel", "energy", "standard errors", "mean shift", "divergence", "rank")
    head = paragraph(
        f"against {drift.other}, both ranked by {drift.by}: Spearman {drift.spearman:.3f}, "
        f"{percent(drift.overlap, 0, space=True)} of the top shared; the channels that differ most:"
    )
    return "\n".join([head, columns(heads, rows), *map(paragraph, notes)])


def _db(value: float) -> str:
    return f"{value:.2f} dB" if math.isfinite(value) else "exact"
