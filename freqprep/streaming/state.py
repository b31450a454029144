"""A loader's state as JSON data, and the checks of what comes back."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from freqprep.errors import UsageError
from freqprep.streaming.shuffling import LARGEST_SEED

VERSION = 2
"""Of the state's form and of the order that it is a position in; another one is refused."""


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number that is not smaller than the least, or a UsageError with its name."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise UsageError(f"{name}={value!r} cannot be used", f"give a whole number from {least} on")
    return number


def position(state: Any, identity: Mapping[str, Any], global_steps: int) -> tuple[int, int]:
    """Epoch and global step of a state that is of the same order and data.

    Parameters
    ----------
    state : mapping
        What `Loader.state_dict` gave, or anything else.
    identity : mapping
        All that must be the same, by name.
    global_steps : int
        Of an epoch.

    Raises
    ------
    UsageError
        The state is damaged, of another version, or of another order: the first difference is
        named.
    """
    if not isinstance(state, Mapping) or not {"version", "epoch", "step"} <= state.keys():
        raise UsageError("this is not a loader's state", "give what state_dict() returned")
    for name, value in {"version": VERSION, **identity}.items():
        if state.get(name) != value:
            raise UsageError(
                f"the state was saved with {name}={state.get(name)!r}, the loader has {value!r}",
                "make the loader with the options, and on the data, that the state is of",
            )
    epoch, step = (whole(f"the state's {name}", state[name], 0) for name in ("epoch", "step"))
    if step > global_steps or epoch > LARGEST_SEED:
        raise UsageError(
            f"the state is at step {step} of epoch {epoch}, but an epoch has {global_steps} steps",
            "give what state_dict() returned",
        )
    return epoch, step
