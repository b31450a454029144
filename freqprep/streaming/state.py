"""A loader's state as JSON data, and the checks of a state that is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freqprep.arguments import check_integer
from freqprep.errors import UsageError
from freqprep.spectrum.channels import Selection
from freqprep.store.split import Split
from freqprep.streaming.order import Order
from freqprep.streaming.shuffling import LARGEST_SEED

VERSION = 2
"""Version of the state's form and of the order of rows; states of another one are refused."""


@dataclass
class Position:
    """Position of a loader, over all ranks: epoch and step of the next batch.

    Attributes
    ----------
    epoch : int
    global_step : int
        Number of global batches of the epoch that were delivered.
    """

    epoch: int = 0
    global_step: int = 0
    _loaded: bool = False  # and nothing delivered since: an iterator goes on here

    def begin(self) -> None:
        """Begin an iterator: an epoch that was left early is over."""
        if self.global_step and not self._loaded:
            self._to(self.epoch + 1)

    def advance(self, order: Order, begun: int, count: int) -> None:
        """Set the position after ``count`` batches of a rank since global step ``begun``."""
        if order.delivered(begun) + count == order.steps:
            self._to(self.epoch + 1)
        else:
            self._to(self.epoch, order.after(begun, count))

    def load(self, epoch: int, global_step: int, order: Order) -> None:
        """Set epoch and step; the end of an epoch is the start of the next one."""
        ended = global_step == order.global_steps
        self._to(epoch + ended, 0 if ended else global_step)
        self._loaded = True

    def comes_next(self, epoch: int) -> bool:
        """Return whether the next iterator gives this epoch, or the rest of it."""
        return epoch == self.epoch and (self._loaded or not self.global_step)

    def choose(self, epoch: int) -> None:
        """Begin this epoch next."""
        self._to(epoch)

    def _to(self, epoch: int, global_step: int = 0) -> None:
        self.epoch, self.global_step, self._loaded = epoch, global_step, False


def epoch_number(epoch: Any) -> int:
    """Return an epoch's number as an int, or raise UsageError."""
    if (number := check_integer("epoch", epoch, 0)) > LARGEST_SEED:
        raise UsageError(f"epoch must be 0 to {LARGEST_SEED}, got {epoch}")
    return number


def identity(order: Order, split: Split, selection: Selection) -> dict[str, Any]:
    """Return all that fixes the order of rows and the data, by name."""
    plan = order.plan
    return {
        "content_id": split.content_id,
        "channels": list(selection.names),
        "batch_size": order.batch_size,
        "seed": order.seed,
        "regime": plan.mode,
        "lanes": plan.lanes,
        "window": plan.window,
        "group_by_aspect": order.bins is not None,
        **({"drawn": "lane by lane"} if order.drawn_lazily else {}),
    }


def check_state(state: Any, identity: Mapping[str, Any], global_steps: int) -> tuple[int, int]:
    """Check that a state is of the same order and data, and return its epoch and step.

    Parameters
    ----------
    state : mapping
        Result of `Loader.state_dict`, or any other object.
    identity : mapping
        Values that must be the same, by name.
    global_steps : int
        Global batches of an epoch.

    Returns
    -------
    epoch, global_step : int

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
                "make the loader with the options and the data that the state was saved with",
            )
    epoch, step = (
        check_integer(f"the state's {name}", state[name], 0) for name in ("epoch", "step")
    )
    if step > global_steps or epoch > LARGEST_SEED:
        raise UsageError(
            f"the state is at step {step} of epoch {epoch}, but an epoch has {global_steps} steps",
            "give what state_dict() returned",
        )
    return epoch, step
