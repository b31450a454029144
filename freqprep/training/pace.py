"""Where the time of training goes: waiting for data, augmentation, the network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

_DATA, _AUGMENTATION, _NETWORK = "data", "augmentation", "network"


@dataclass(frozen=True)
class Spent:
    """Seconds that a loop has spent so far on other things than the network.

    Attributes
    ----------
    waiting : float
        For batches.
    augmenting : float
        In the augmentation, on the device. On CUDA it runs one batch ahead, beside the network: the
        loop does not wait for these seconds unless the device is busy with nothing else.
    """

    waiting: float = 0.0
    augmenting: float = 0.0


class Stopwatch:
    """A function that is timed on a device, without waiting for the device.

    On CUDA an event is recorded before and after each call, in the current stream; they are read
    when the time is asked for.

    Parameters
    ----------
    function : callable
    device : torch.device
        Where the function queues its work.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device) -> None:
        self._function, self._on_gpu = function, device.type == "cuda"
        self._seconds = 0.0
        self._pending: list[tuple[Any, Any]] = []

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        if not self._on_gpu:
            began = time.perf_counter()
            found = self._function(*arguments)
            self._seconds += time.perf_counter() - began
            return found
        cuda: Any = torch.cuda  # events are not typed
        events = tuple(cuda.Event(enable_timing=True) for _ in range(2))
        events[0].record()
        found = self._function(*arguments)
        events[1].record()
        self._pending.append(events)
        return found

    def seconds(self) -> float:
        """Return the time of all calls so far; on CUDA it waits for the last one's work."""
        for began, ended in self._pending:
            ended.synchronize()
            self._seconds += began.elapsed_time(ended) / 1e3
        self._pending.clear()
        return self._seconds


def shares(seconds: float, spent: Spent) -> dict[str, float]:
    """Compute the shares of a time that were spent on data, augmentation and the network. Pure.

    Parameters
    ----------
    seconds : float
        Above 0.
    spent : Spent
        Within these seconds.

    Returns
    -------
    dict
        ``data_wait``, ``augmentation`` and ``network``: 0 to 1, together 1. The network has what
        the others leave, with the optimizer and checkpoints.
    """
    data = min(spent.waiting / seconds, 1.0)
    augmentation = min(spent.augmenting / seconds, 1.0 - data)
    return {"data_wait": data, "augmentation": augmentation, "network": 1 - data - augmentation}


class Pace:
    """Images, time and its shares of the lines of metrics of one epoch."""

    def __init__(self) -> None:
        self._seconds = self._images = 0.0
        self._parts = dict.fromkeys((_DATA, _AUGMENTATION, _NETWORK), 0.0)

    def add(self, values: dict[str, float]) -> None:
        """Add a line, as `Meter.take` returns it."""
        seconds = values["seconds"]
        self._seconds += seconds
        self._images += values["images_per_second"] * seconds
        for part, name in ((_DATA, "data_wait"), (_AUGMENTATION,) * 2, (_NETWORK,) * 2):
            self._parts[part] += values[name] * seconds

    def describe(self, remedy: str) -> str:
        """Describe speed and limit in one line.

        Parameters
        ----------
        remedy : str
            What to do if data limit the speed.

        Returns
        -------
        str
            Empty before the first line.
        """
        if not self._seconds:
            return ""
        limit = max(self._parts, key=lambda part: self._parts[part])
        verb = "limit" if limit == _DATA else "limits"
        what = limit if limit != _NETWORK else "the network"
        listed = ", ".join(
            f"{part} {seconds / self._seconds:.0%}" for part, seconds in self._parts.items()
        )
        text = f"{self._images / self._seconds:,.0f} images/s; {what} {verb} it ({listed})"
        return f"{text}; {remedy}" if limit == _DATA else text
