"""What to convert with, as one sentence."""

from __future__ import annotations

from freqprep.importance.allocation import (
    Allocation,
    allocation_of,
    best_channels,
    known_precisions,
    measurable,
)
from freqprep.importance.choice import Choice
from freqprep.importance.rate_distortion import Rates
from freqprep.spectrum.channels import CHANNELS, published
from freqprep.spectrum.quantization import Precision
from freqprep.storage.paths import AnyPath
from freqprep.store.schema import DEFAULT_LEVEL
from freqprep.text.quantities import decibels, plural, size

_REFERENCE = "square-24"


def advice(choice: Choice, rates: Rates, steps: AnyPath | None = None) -> str:
    """Say which precision and channels to use, and what they gain.

    Of a joint choice these are its allocation; otherwise the best at a precision that has a name,
    or at that of the store, within the bytes of the published 24 channels.

    Parameters
    ----------
    choice : Choice
    rates : Rates
    steps : Path or ObjectPath, optional
        Steps file of the chosen precision.

    Returns
    -------
    str
    """
    reference = allocation_of(rates, published(_REFERENCE), rates.precision)
    if best := choice.allocation:
        options = _options(best.precision, rates, steps)
        text = (
            f"Convert with {options} and read the {plural(len(best.selection), 'channel')} chosen:"
            f" {size(best.bytes_per_image)} an image at a visible PSNR of {decibels(best.psnr)}"
        )
        return f"{text}{_against(reference)}."
    if reference is None:
        return f"The store lacks channels of {_REFERENCE}, so precisions are not compared."
    best = _best(rates, reference.bytes_per_image) or reference
    return (
        f"Within the bytes of {_REFERENCE}, the best {plural(len(best.selection), 'channel')} with"
        f" {_options(best.precision, rates)} take {size(best.bytes_per_image)} an image at a"
        f" visible PSNR of {decibels(best.psnr)}{_against(reference)}."
        f" --top {len(best.selection)} --budget {_REFERENCE} --by best chooses them."
    )


def _options(precision: Precision, rates: Rates, steps: AnyPath | None = None) -> str:
    """Return the options of a conversion; in words where no file has the steps."""
    if precision.is_predefined:
        option = f"--precision {precision.name}"
    elif steps is not None:
        option = f"--steps {steps}"
    else:
        option = "this store's steps" if precision == rates.precision else "the fitted steps"
    return option if rates.level == DEFAULT_LEVEL else f"{option} and --level {rates.level}"


def _against(reference: Allocation | None) -> str:
    if reference is None:
        return ""
    return (
        f"; {_REFERENCE} as stored takes {size(reference.bytes_per_image)}"
        f" at {decibels(reference.psnr)}"
    )


def _best(rates: Rates, limit: float) -> Allocation | None:
    found = [
        best_channels(rates, precision, limit, CHANNELS)
        for precision in measurable(rates, known_precisions(rates))
    ]
    return min((one for one in found if one), key=lambda one: one.distortion, default=None)
