"""The channels that a request means, of one split."""

from __future__ import annotations

from freqprep.augment.input_spec import KINDS, InputSpec
from freqprep.errors import UsageError, did_you_mean, some
from freqprep.spectrum.channels import NAMES, Selection
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.text.quantities import plural
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
        Whether all channels stored are read by default, not just those used and their neighbours.

    Returns
    -------
    tuple of (Selection or None, Selection)
        Used, read.

    Raises
    ------
    UsageError
        An unknown kind of input or channel, a channel that is not stored, or options that do not
        go together.
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
    default = None if request.gate else DEFAULT_CHANNELS
    used = select(default if request.channels is None else request.channels, train)
    if request.read is not None:
        return used, select(request.read, train)
    return used, select(None, train) if read_all else _with_neighbours(used, train)


def check_stored(inputs: InputSpec, split: Split) -> None:
    """Refuse a split that does not store all channels that a network reads.

    Raises
    ------
    UsageError
    """
    stored = split.attributes.positions
    indices = inputs.read_selection.indices
    if absent := [NAMES[index] for index in indices if index not in stored]:
        raise UsageError(
            f"{split.path} does not store {len(absent)} of the {plural(len(indices), 'channel')}"
            " that the"
            f" network reads: {some(absent)}",
            "use a split that stores them, or train with --channels and --read of those it stores",
        )


def _with_neighbours(used: Selection, train: Split) -> Selection:
    near = set(select(DEFAULT_READ).indices) & set(train.attributes.channels)
    indices = sorted({*used.indices, *near})
    return Selection(tuple(indices), f"{used.name} and {DEFAULT_READ}")
