"""Arrays to a device: constants once, the numbers of a batch without waiting."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def send(array: np.ndarray, device: torch.device) -> Tensor:
    """Send an array to a device without waiting for the copy.

    From pinned memory of torch's own allocator, which gives it away again only after the copy; a
    CPU tensor shares the array's memory.

    Parameters
    ----------
    array : ndarray
        Contiguous and writable.
    device : torch.device

    Returns
    -------
    Tensor
    """
    tensor = torch.from_numpy(array)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Constants:
    """Arrays that are copied to each device when first needed there, and stay.

    The first copy waits until it is complete, so that any stream may use the tensors afterwards.

    Parameters
    ----------
    **arrays : ndarray
    """

    def __init__(self, **arrays: np.ndarray) -> None:
        self._arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        self._tensors: dict[torch.device, dict[str, Tensor]] = {}

    def on(self, device: torch.device) -> dict[str, Tensor]:
        """Return the tensors on a device, by name."""
        if device not in self._tensors:
            self._tensors[device] = {
                name: torch.from_numpy(array).to(device) for name, array in self._arrays.items()
            }
        return self._tensors[device]
