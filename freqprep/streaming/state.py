"""A loader's state as JSON data, and the checks of what comes back."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freqprep.errors import UsageError
from freqprep.spectrum.channels import Selection
from freqprep.store.split import Split
from freqprep.streaming.order import Order
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


@dataclass
class Position:
    """Where a loader is: what the next batch is of, over all ranks.

    Attributes
    ----------
    epoch : int
    global_step : int
        Global batches of the epoch that were delivered.
    """

    epoch: int = 0
    global_step: int = 0
    _loaded: bool = False  # and nothing delivered since: an iterator goes on here

    def begin(self) -> None:
        """An iterator begins: an epoch that was left is over."""
        if self.global_step and not self._loaded:
            self._to(self.epoch + 1)

    def advance(self, order: Order, begun: int, count: int) -> None:
        """A rank has given so many batches since a global step; the epoch may be over with them."""
        if order.delivered(begun) + count == order.steps:
            self._to(self.epoch + 1)
        else:
            self._to(self.epoch, order.after(begun, count))

    def load(self, epoch: int, global_step: int, order: Order) -> None:
        """Go on at a step; at the end of an epoch that is the next one's beginning."""
        ended = global_step == order.global_steps
        self._to(epoch + ended, 0 if ended else global_step)
        self._loaded = True

    def comes_next(self, epoch: int) -> bool:
        """Whether the next iterator gives this epoch, or what is left of it after a state."""
        return epoch == self.epoch and (self._loaded or not self.global_step)

    def choose(self, epoch: int) -> None:
        """Begin this epoch next."""
        self._to(epoch)

    def _to(self, epoch: int, global_step: int = 0) -> None:
        self.epoch, self.global_step, self._loaded = epoch, global_step, False


def epoch_number(epoch: Any) -> int:
    """A whole number that can be an epoch's, or a UsageError."""
    if (number := whole("epoch", epoch, 0)) > LARGEST_SEED:
        raise UsageError(f"epoch={epoch} cannot be used", f"use 0 to {LARGEST_SEED}")
    return number


def identity(order: Order, split: Split, selection: Selection) -> dict[str, Any]:
    """What fixes the order of rows, and the data, by name."""
    mixing = order.mixing
    return {
        "content_id": split.content_id,
        "channels": list(selection.names),
        "batch_size": order.batch_size,
        "seed": order.seed,
        "regime": mixing.mode,
        "lanes": mixing.lanes,
        "window": mixing.window,
        "group_by_aspect": order.bins is not None,
    }


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
