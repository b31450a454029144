"""From a ring of batches in host memory to tensors: on the CPU as they lie, to CUDA by copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from freqprep.errors import MissingPackageError, UsageError
from freqprep.streaming.ring import Ring

if TYPE_CHECKING:
    import torch


class Delivery(Protocol):
    """Makes tensors of an iterator's batches, which are numbered 0, 1, ..."""

    @property
    def ring(self) -> Ring:
        """Where threads put the codes."""

    def send(self, batch: int, labels: np.ndarray) -> None:
        """A batch lies in the ring, as many rows as labels. At most two are sent, not released."""

    def tensors(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and labels of a batch that was sent, for work queued from now on; asked once."""

    def release(self, batch: int) -> None:
        """The next batch is asked for. The ring's place is free, or its consumer still has it."""

    def settle(self) -> None:
        """Wait until nothing reads the ring."""


class HostDelivery:
    """Tensors in host memory.

    Parameters
    ----------
    shape : tuple of int
        Of the ring's codes.
    dtype : dtype
        int8 or int16.
    reuse : bool
        Tensors lie in the ring and are overwritten once the next batch is asked for. Otherwise
        they stay valid: those of a consumer that holds few batches lie in the ring, further ones
        are copies.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, reuse: bool) -> None:
        self.ring = Ring(np.empty(shape, dtype))
        self._reuse = reuse
        self._labels = [np.empty(0, np.int64)] * 2
        self._lent = False

    def send(self, batch: int, labels: np.ndarray) -> None:
        """See `Delivery`."""
        self._labels[batch % 2] = labels

    def tensors(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Delivery`."""
        import torch

        labels = self._labels[batch % 2]
        lent = None if self._reuse else self.ring.lend(batch, len(labels))
        self._lent = lent is not None
        codes = self.ring.batch(batch, len(labels)) if lent is None else lent
        if not (self._reuse or self._lent):
            codes = codes.copy()
        return torch.from_numpy(codes), torch.from_numpy(labels)

    def release(self, batch: int) -> None:
        """See `Delivery`."""
        if not self._lent:
            self.ring.free(batch)

    def settle(self) -> None:
        """See `Delivery`."""


class CudaDelivery:
    """Tensors on a CUDA device, copied from a pinned ring by a stream of its own.

    A batch is copied while the one before is worked on. With ``reuse`` there are two sets of
    tensors, and two events a set keep the order: ``copied``, after which the consumer's stream may
    read it and the ring's place is free, and ``used``, after which it may be overwritten. (An event
    that was never recorded counts as passed.) Without it each batch has memory of its own from
    torch's allocator, which is told of the consumer's stream and gives it to nobody else before.

    Parameters
    ----------
    shape, dtype, reuse
        As for `HostDelivery`.
    device : torch.device
        Of type ``cuda``.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype, device: torch.device, reuse: bool
    ) -> None:
        import torch

        kind = getattr(torch, dtype.name)
        self._device, self._reuse = device, reuse
        self._host_codes = torch.empty(shape, dtype=kind, pin_memory=True)
        self._host_labels = torch.empty((2, shape[1]), dtype=torch.int64, pin_memory=True)
        self.ring = Ring(self._host_codes.numpy())
        self._sent: list[tuple[torch.Tensor, torch.Tensor] | None] = [None, None]
        with torch.cuda.device(device):
            self._copied = [torch.cuda.Event() for _ in range(2)]
            self._used = [torch.cuda.Event() for _ in range(2)]
            self._stream = torch.cuda.Stream(device)
            self._kept = [self._new(shape[1]) for _ in range(2)] if reuse else []
            # The allocator may have given memory that work queued here earlier still uses.
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def _new(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Memory for the codes and labels of so many rows."""
        import torch

        shape, kind = self._host_codes.shape[2:], self._host_codes.dtype
        codes = torch.empty((count, *shape), dtype=kind, device=self._device)
        return codes, torch.empty(count, dtype=torch.int64, device=self._device)

    def send(self, batch: int, labels: np.ndarray) -> None:
        """See `Delivery`."""
        import torch

        one, count = batch % 2, len(labels)
        # Free since `release` of the last batch but one, which waited for its copy.
        self._host_labels[one, :count] = torch.from_numpy(labels)
        sources = torch.from_numpy(self.ring.batch(batch, count)), self._host_labels[one, :count]
        with torch.cuda.stream(self._stream):
            if self._reuse:
                self._stream.wait_event(self._used[one])
                codes, kept_labels = self._kept[one]
                targets = codes[:count], kept_labels[:count]
            else:
                targets = self._new(count)
            for target, source in zip(targets, sources, strict=True):
                target.copy_(source, non_blocking=True)
            self._copied[one].record(self._stream)
        self._sent[one] = targets

    def tensors(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Delivery`."""
        import torch

        one = batch % 2
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(self._copied[one])
        found, self._sent[one] = self._sent[one], None
        assert found is not None  # it was sent
        if not self._reuse:
            for tensor in found:
                tensor.record_stream(stream)
        return found

    def release(self, batch: int) -> None:
        """See `Delivery`."""
        import torch

        if self._reuse:
            self._used[batch % 2].record(torch.cuda.current_stream(self._device))
        self._copied[batch % 2].synchronize()
        self.ring.free(batch)

    def settle(self) -> None:
        """See `Delivery`."""
        self._stream.synchronize()


def make_delivery(
    shape: tuple[int, ...], dtype: np.dtype, device: torch.device, reuse: bool
) -> Delivery:
    """The one for a device."""
    if device.type == "cuda":
        return CudaDelivery(shape, dtype, device, reuse)
    return HostDelivery(shape, dtype, reuse)


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
