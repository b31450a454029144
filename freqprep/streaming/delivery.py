"""From a ring of batches in host memory to tensors: on the CPU as they lie, to CUDA by copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from freqprep.errors import MissingPackageError, UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """Images of one step.

    ``codes`` and ``labels`` lie in memory that is used again: they are valid until the next batch
    is asked for. Whoever keeps them longer clones them.

    Attributes
    ----------
    codes : Tensor of int8 or int16, shape (n, C, rows, columns)
        Stored integers of the chosen channels, contiguous, on the loader's device. Coefficients
        are ``codes * torch.from_numpy(loader.steps)[:, None, None]``.
    labels : Tensor of int64, shape (n,)
        Index into the split's classes, -1 = none; on the loader's device.
    rows : ndarray of int64, shape (n,)
        Row numbers in the split.
    sizes : ndarray of int32, shape (n, 2)
        Valid height and width in stored pixels.
    epoch : int
    step : int
        Number of the global batch in the epoch.
    """

    codes: torch.Tensor
    labels: torch.Tensor
    rows: np.ndarray
    sizes: np.ndarray
    epoch: int
    step: int


class Delivery(Protocol):
    """What the loader needs of the two. Batches have the ring's numbers: 0, 1, ... an iterator."""

    @property
    def ring(self) -> np.ndarray:
        """Codes for threads to fill, shape (depth, rows of a batch, C, grid rows, grid columns)."""

    def send(self, batch: int, labels: np.ndarray) -> None:
        """A batch lies in the ring, as many rows as labels. At most two are sent, not released."""

    def tensors(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and labels of a batch that was sent, for work queued from now on."""

    def release(self, batch: int) -> None:
        """All work with a batch is queued. When this returns, its place in the ring is free."""

    def settle(self) -> None:
        """Wait until nothing reads the ring."""


class HostDelivery:
    """Tensors that share the ring's memory.

    Parameters
    ----------
    shape : tuple of int
        Of the ring.
    dtype : dtype
        int8 or int16.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.ring = np.empty(shape, dtype)
        self._labels = [np.empty(0, np.int64)] * 2

    def send(self, batch: int, labels: np.ndarray) -> None:
        """See `Delivery`."""
        self._labels[batch % 2] = labels

    def tensors(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Delivery`."""
        import torch

        labels = self._labels[batch % 2]
        codes = self.ring[batch % len(self.ring), : len(labels)]
        return torch.from_numpy(codes), torch.from_numpy(labels)

    def release(self, batch: int) -> None:
        """See `Delivery`."""

    def settle(self) -> None:
        """See `Delivery`."""


class CudaDelivery:
    """Tensors on a CUDA device, copied from a pinned ring by a stream of its own.

    There are two sets of tensors, so that a batch is copied while the one before is worked on.
    Two events a set keep the order: ``copied``, after which the consumer's stream may read it and
    the ring's place is free, and ``used``, after which it may be overwritten. An event that was
    never recorded counts as passed.

    Parameters
    ----------
    shape, dtype
        As for `HostDelivery`.
    device : torch.device
        Of type ``cuda``.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, device: torch.device) -> None:
        import torch

        kind = getattr(torch, dtype.name)
        self._device = device
        self._host_codes = torch.empty(shape, dtype=kind, pin_memory=True)
        self._host_labels = torch.empty((2, shape[1]), dtype=torch.int64, pin_memory=True)
        self.ring = self._host_codes.numpy()
        self._counts = [0, 0]
        with torch.cuda.device(device):
            self._codes = torch.empty((2, *shape[1:]), dtype=kind, device=device)
            self._labels = torch.empty((2, shape[1]), dtype=torch.int64, device=device)
            self._copied = [torch.cuda.Event() for _ in range(2)]
            self._used = [torch.cuda.Event() for _ in range(2)]
            self._stream = torch.cuda.Stream(device)
            # The allocator may have given memory that work queued here earlier still uses.
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def send(self, batch: int, labels: np.ndarray) -> None:
        """See `Delivery`."""
        import torch

        one, count = batch % 2, len(labels)
        self._counts[one] = count
        # Free since `release` of the last batch but one, which waited for its copy.
        self._host_labels[one, :count] = torch.from_numpy(labels)
        host = self._host_codes[batch % len(self.ring), :count]
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(self._used[one])
            self._codes[one, :count].copy_(host, non_blocking=True)
            self._labels[one, :count].copy_(self._host_labels[one, :count], non_blocking=True)
            self._copied[one].record(self._stream)

    def tensors(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Delivery`."""
        import torch

        one = batch % 2
        torch.cuda.current_stream(self._device).wait_event(self._copied[one])
        count = self._counts[one]
        return self._codes[one, :count], self._labels[one, :count]

    def release(self, batch: int) -> None:
        """See `Delivery`."""
        import torch

        self._used[batch % 2].record(torch.cuda.current_stream(self._device))
        self._copied[batch % 2].synchronize()

    def settle(self) -> None:
        """See `Delivery`."""
        self._stream.synchronize()


def make_delivery(shape: tuple[int, ...], dtype: np.dtype, device: torch.device) -> Delivery:
    """The one for a device."""
    if device.type == "cuda":
        return CudaDelivery(shape, dtype, device)
    return HostDelivery(shape, dtype)


def check_device(device: str | torch.device) -> torch.device:
    """A device that batches can be delivered to.

    Raises
    ------
    MissingPackageError
        torch is not installed.
    UsageError
        There is no such device.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError(
            f"torch cannot be imported: {error}", "pip install 'freqprep[train]'"
        ) from None
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or found.type not in ("cpu", "cuda"):
        raise UsageError(f"device={device!r} cannot be used", "use cpu, cuda or cuda:N")
    devices = torch.cuda.device_count()
    if found.type == "cuda" and (found.index or 0) >= devices:
        raise UsageError(f"there is no {device} here, but {devices} CUDA devices", "use cpu")
    return found
