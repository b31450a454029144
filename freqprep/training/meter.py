"""Loss and accuracy of the last steps, kept on the device: reading them there would stop it."""

from __future__ import annotations

import time
from typing import Any

import torch

from freqprep.training.world import World


class Meter:
    """Sums over images since the last `take`.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums = torch.zeros(4, dtype=torch.float64, device=device)
        self._began, self._waited = time.monotonic(), 0.0

    def start(self, waited: float) -> None:
        """Begin to measure: ``waited`` is the loader's time of waiting so far, in seconds."""
        self._sums.zero_()
        self._began, self._waited = time.monotonic(), waited

    def add(
        self,
        loss: torch.Tensor,
        logits: torch.Tensor,
        labels: torch.Tensor,
        gates: torch.Tensor | None,
    ) -> None:
        """Take in some images: their mean loss, answers, labels and mean share of open gates."""
        count = len(labels)
        right = (logits.argmax(1) == labels).sum()
        share = logits.new_full((), torch.nan) if gates is None else gates.detach()
        one = torch.ones_like(share)
        sums = (loss * count, right, share * count, one * count)
        self._sums += torch.stack([number.double() for number in sums])

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
            ``loss``, ``top1``, ``images_per_second``, ``data_wait`` (share of the time) and, with
            a gate, ``gates_open`` (share of the gates).
        """
        loss, right, gates, images = world.sum(self._sums.cpu()).tolist()
        seconds = max(time.monotonic() - self._began, 1e-9)
        values = {
            "loss": loss / images,
            "top1": right / images,
            "images_per_second": images / seconds,
            "data_wait": (waited - self._waited) / seconds,
        }
        if gates == gates:  # NaN where there is no gate
            values["gates_open"] = gates / images
        self.start(waited)
        return values

    def state_dict(self, waited: float) -> dict[str, Any]:
        """For a checkpoint: this process's sums, and the time they took."""
        seconds = time.monotonic() - self._began
        return {"sums": self._sums.cpu(), "seconds": seconds, "waited": waited - self._waited}

    def load_state_dict(self, state: dict[str, Any], waited: float) -> None:
        """From a checkpoint."""
        self._sums = state["sums"].to(self._device, torch.float64)
        self._began = time.monotonic() - float(state["seconds"])
        self._waited = waited - float(state["waited"])
