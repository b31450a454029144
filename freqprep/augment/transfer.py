"""Arrays to a device: constants once, the numbers of a batch without waiting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_ALIGNED = 8  # bytes: of any type


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


def send_all(arrays: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Send arrays of any types to a device in one copy; see `send`.

    Parameters
    ----------
    arrays : sequence of ndarray
    device : torch.device

    Returns
    -------
    list of Tensor
        Of the arrays' shapes and types; on a device they share memory.
    """
    if device.type == "cpu":
        return [send(np.ascontiguousarray(array), device) for array in arrays]
    ends = np.cumsum([-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays]).tolist()
    starts = [0, *ends[:-1]]
    packed = np.zeros(ends[-1] if ends else 0, np.uint8)
    for start, array in zip(starts, arrays, strict=True):
        packed[start : start + array.nbytes] = (
            np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        )
    there = send(packed, device)
    return [
        there[start : start + array.nbytes].view(getattr(torch, array.dtype.name)).view(array.shape)
        for start, array in zip(starts, arrays, strict=True)
    ]


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
