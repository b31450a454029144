"""What the last steps reported, kept on the device: reading it there would stop it."""

from __future__ import annotations

import time
from typing import Any

import torch

from freqprep.training.distributed import World


class Meter:
    """Sums over images since the last `take`.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros(1, dtype=torch.float64, device=device)  # images, then each name
        self._began, self._waited = time.monotonic(), 0.0

    def start(self, waited: float) -> None:
        """Begin to measure: ``waited`` is the loader's time of waiting so far, in seconds."""
        self._sums.zero_()
        self._began, self._waited = time.monotonic(), waited

    def add(self, images: int, numbers: dict[str, torch.Tensor]) -> None:
        """Take in some images and means over them; the names are the same every time."""
        if self._names != (names := tuple(numbers)):
            self._names, self._sums = names, self._sums.new_zeros(1 + len(names))
        means = torch.stack([number.double() for number in numbers.values()])
        self._sums[0] += images
        self._sums[1:] += means.to(self._device) * images

    def take(self, world: World, waited: float) -> dict[str, float]:
        """Means over the images since the start, and over all processes; starts anew.

        Parameters
        ----------
        world : World
        waited : float
            The loader's time of waiting so far, in seconds.

        Returns
        -------
        dict
            The means by name, ``images_per_second`` and ``data_wait`` (share of the time).
        """
        images, *sums = world.sum(self._sums.cpu()).tolist()
        seconds = max(time.monotonic() - self._began, 1e-9)
        values = {
            **{name: total / images for name, total in zip(self._names, sums, strict=True)},
            "images_per_second": images / seconds,
            "data_wait": (waited - self._waited) / seconds,
        }
        self.start(waited)
        return values

    def state_dict(self, waited: float) -> dict[str, Any]:
        """For a checkpoint: this process's sums, and the time they took."""
        seconds = time.monotonic() - self._began
        return {
            "names": list(self._names),
            "sums": self._sums.cpu(),
            "seconds": seconds,
            "waited": waited - self._waited,
        }

    def load_state_dict(self, state: dict[str, Any], waited: float) -> None:
        """From a checkpoint."""
        self._names = tuple(map(str, state["names"]))
        self._sums = state["sums"].to(self._device, torch.float64)
        self._began = time.monotonic() - float(state["seconds"])
        self._waited = waited - float(state["waited"])
