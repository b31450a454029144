"""Options of ``freqprep train`` that mean more than their text."""

from __future__ import annotations

from typing import Any

from freqprep.errors import UsageError

_DEFAULT_LAMBDA = 0.1


def choose_policy(aligned_crops: bool, smallest_crop: float | None) -> Any:
    """Return the requested augmentation; None is the preset's."""
    from freqprep.augment import DetectorPolicy, Policy

    if aligned_crops and smallest_crop is not None:
        raise UsageError(
            "--aligned-crops with --smallest-crop",
            "leave one out: the former is for classifiers, the latter for detectors",
        )
    if smallest_crop is not None:
        return DetectorPolicy(smallest_crop=smallest_crop)
    return Policy(aligned=True) if aligned_crops else None


def parse_lambdas(text: str | None, gate: bool) -> list[float]:
    """Read the weights of the gate; without a gate there is none to weigh."""
    if text is None:
        return [_DEFAULT_LAMBDA if gate else 0.0]
    if not gate:
        raise UsageError("--gate-lambda without --gate", "add --gate, or leave it out")
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        what = f"--gate-lambda must be numbers with commas, got {text!r}"
        raise UsageError(what, "for example 0.03,0.1") from None


def parse_ramp(text: str | None) -> tuple[int, int] | None:
    """Read a ramp of grids: two whole numbers with a colon."""
    if text is None:
        return None
    try:
        first, last = map(int, text.split(":"))
    except ValueError:
        what = f"--grid-ramp must be two whole numbers with a colon, got {text!r}"
        raise UsageError(what, "for example 20:28") from None
    return first, last
