"""What to convert with, as one sentence."""

from __future__ import annotations

from pathlib import Path

from freqprep.importance.allocation import (
    FITTED,
    Allocation,
    allocation_of,
    best_channels,
    known_precisions,
    measurable,
)
from freqprep.importance.choice import Choice
from freqprep.importance.rate_distortion import Rates
from freqprep.spectrum.channels import CHANNELS, published
from freqprep.text.quantities import decibels, plural, size

_REFERENCE = "square-24"


def advice(choice: Choice, rates: Rates, steps: Path | None = None) -> str:
    """Say which precision and channels to use, and what they gain.

    Of a joint choice these are its allocation; otherwise the best at a named precision within the
    bytes of the published 24 channels.
    """
    reference = allocation_of(rates, published(_REFERENCE), rates.precision)
    best = choice.allocation or (reference and _best(rates, reference.bytes_per_image))
    if best is None:
        return "No precision could be compared: the store has few channels or coarse steps."
    name = best.precision.name
    option = f"--precision {name}"
    if name == FITTED:
        option = "its steps" if steps is None else f"--steps {steps}"
    text = (
        f"Convert with {option} and read {plural(len(best.selection), 'channel')}"
        f" ({best.selection.name}): {size(best.bytes_per_image)} an image"
        f" at a visible PSNR of {decibels(best.psnr)}"
    )
    if reference is None:
        return f"{text}."
    return (
        f"{text}; {_REFERENCE} as stored takes {size(reference.bytes_per_image)}"
        f" at {decibels(reference.psnr)}."
    )


def _best(rates: Rates, limit: float) -> Allocation | None:
    found = [
        best_channels(rates, precision, limit, CHANNELS)
        for precision in measurable(rates, known_precisions(rates))
    ]
    return min((one for one in found if one), key=lambda one: one.distortion, default=None)
