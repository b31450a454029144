"""Loss and accuracy of the last steps, kept on the device: reading them there would stop it."""

from __future__ import annotations

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

    def take(self, world: World) -> tuple[int, dict[str, float]]:
        """Images, and means over them and over all processes; starts anew."""
        loss, right, gates, images = world.sum(self._sums.cpu()).tolist()
        self._sums.zero_()
        values = {"loss": loss / images, "top1": right / images}
        if gates == gates:  # NaN where there is no gate
            values["gates_open"] = gates / images
        return int(images), values

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"sums": self._sums.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        self._sums = state["sums"].to(self._device, torch.float64)
