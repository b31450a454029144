"""The channels that a request means, of one split."""

from __future__ import annotations

from freqprep.augment.input_spec import KINDS
from freqprep.errors import UsageError, did_you_mean
from freqprep.spectrum.channels import Selection
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.training.request import TrainingRequest

DEFAULT_CHANNELS = "square-24"
DEFAULT_READ = "paper-64"
"""Read besides the used channels, of classifiers: resizing moves energy between frequencies."""


def chosen_channels(
    request: TrainingRequest, train: Split, *, read_all: bool
) -> tuple[Selection | None, Selection]:
    """Return the channels used, None for RGB, and the channels read.

    Parameters
    ----------
    request : TrainingRequest
    train : Split
    read_all : bool
        Whether all channels are read by default, not just the used ones and their neighbours.

    Returns
    -------
    tuple of (Selection or None, Selection)
        Used, read.

    Raises
    ------
    UsageError
        An unknown kind of input or channel, or options that do not go together.
    """
    if request.input not in KINDS:
        remedy = f"{did_you_mean(request.input, KINDS)}use {' or '.join(KINDS)}"
        raise UsageError(f"input {request.input!r} does not exist", remedy)
    if request.input == "rgb":
        if request.channels is not None or request.gate:
            raise UsageError(
                "RGB input has no channels to choose or to gate",
                "leave channels and gate out; what is read from the store can be chosen (--read)",
            )
        return None, select(request.read, train)
    if request.patches:
        raise UsageError("patches with frequency input", "they are a form of RGB input")
    default = "all" if request.gate else DEFAULT_CHANNELS
    used = select(default if request.channels is None else request.channels, train)
    if request.read is not None:
        return used, select(request.read, train)
    return used, select("all") if read_all else _with_neighbours(used)


def _with_neighbours(used: Selection) -> Selection:
    indices = sorted({*used.indices, *select(DEFAULT_READ).indices})
    return Selection(tuple(indices), f"{used.name} and {DEFAULT_READ}")
