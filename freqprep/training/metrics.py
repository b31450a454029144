"""Metrics of a run: means of steps, JSON lines, and TensorBoard if it is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from freqprep.storage.regular_file import open_regular, open_to_append
from freqprep.storage.strict_json import parse
from freqprep.training.distributed import World
from freqprep.training.pace import Spent, shares

METRICS = "metrics.jsonl"
"""Name of the file in a run's folder: one JSON object a line, each with its ``kind``:
``train`` (a part of an epoch), ``validation`` or ``gates`` (after an epoch)."""


class MetricsLog:
    """Writer of a run's metrics files.

    Parameters
    ----------
    folder : Path
        The run's.
    length : int
        Bytes of the file to keep: what was written after the checkpoint that a run goes on from
        is cut off, because it will be written again.
    steps : int
        Of the optimizer that are done.
    """

    def __init__(self, folder: Path, length: int = 0, steps: int = 0) -> None:
        self._file = open_to_append(folder / METRICS)
        self._file.truncate(min(length, self._file.tell()))
        self._board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=steps + 1)

    def write(self, kind: str, steps: int, epochs: float, values: dict[str, Any]) -> None:
        """One line.

        Parameters
        ----------
        kind : str
        steps : int
            Of the optimizer that are done.
        epochs : float
            The same in epochs.
        values : dict
            Plain numbers, or lists of them; a number that is not finite becomes null.
        """
        finite = {name: _finite(value) for name, value in values.items()}
        line = json.dumps(
            {"kind": kind, "steps": steps, "epochs": epochs, **finite}, allow_nan=False
        )
        self._file.write(f"{line}\n".encode())
        if self._board is not None:
            for name, value in finite.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{kind}/{name}", value, steps)

    def sync(self) -> int:
        """Sync the file; return its length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _finite(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read all complete lines of a run's metrics, in the order they were written."""
    return list(_lines(folder / METRICS))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), open(open_regular(path), "rb") as file:
        for line in file:
            try:
                values = parse(line)
            except ValueError:
                continue  # the torn end of a run that was killed
            if isinstance(values, dict):
                yield values


class Meter:
    """Sums over images since the last `take`.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: tuple[str, ...] = ()
        self._images = 0
        self._sums = torch.zeros(0, dtype=torch.float64, device=device)  # of each name
        self._began, self._before = time.monotonic(), Spent()

    def start(self, spent: Spent) -> None:
        """Start to measure; ``spent`` is what the loop has spent so far."""
        self._images = 0
        self._sums.zero_()
        self._began, self._before = time.monotonic(), spent

    def add(self, images: int, numbers: dict[str, torch.Tensor]) -> None:
        """Add some images and means over them; the names are the same every time.

        Nothing waits for the device.
        """
        if self._names != (names := tuple(numbers)):
            self._names, self._sums = names, self._sums.new_zeros(len(names))
        self._images += images
        means = torch.stack([number.double() for number in numbers.values()])
        self._sums += means.to(self._device) * images

    def take(self, world: World, spent: Callable[[], Spent]) -> dict[str, float]:
        """Return the means over the images since the start, over all processes; start anew.

        Waits for the device.

        Parameters
        ----------
        world : World
        spent : callable
            Returns what the loop has spent so far.

        Returns
        -------
        dict
            The means by name, ``images_per_second``, ``seconds`` and the `shares` of the time.
        """
        images, *sums = world.sum(self._images_and_sums()).tolist()
        seconds, now = max(time.monotonic() - self._began, 1e-9), spent()
        values = {
            **{name: total / images for name, total in zip(self._names, sums, strict=True)},
            "images_per_second": images / seconds,
            "seconds": seconds,
            **shares(seconds, self._since(now)),
        }
        self.start(now)
        return values

    def state_dict(self, spent: Spent) -> dict[str, Any]:
        """Return this process's sums and the time they took, for a checkpoint."""
        seconds, since = time.monotonic() - self._began, self._since(spent)
        return {
            "names": list(self._names),
            "sums": self._images_and_sums(),
            "seconds": seconds,
            "waited": since.waiting,
            "augmented": since.augmenting,
        }

    def load_state_dict(self, state: dict[str, Any], spent: Spent) -> None:
        """Restore the sums of a checkpoint."""
        self._names = tuple(map(str, state["names"]))
        sums = state["sums"].to(self._device, torch.float64)
        self._images, self._sums = int(sums[0]), sums[1:].clone()
        self._began = time.monotonic() - float(state["seconds"])
        self._before = Spent(
            spent.waiting - float(state["waited"]),
            spent.augmenting - float(state.get("augmented", 0)),  # older checkpoints lack it
        )

    def _images_and_sums(self) -> torch.Tensor:
        images = torch.tensor([self._images], dtype=torch.float64)
        return torch.cat([images, self._sums.cpu()])

    def _since(self, spent: Spent) -> Spent:
        before = self._before
        return Spent(spent.waiting - before.waiting, spent.augmenting - before.augmenting)
