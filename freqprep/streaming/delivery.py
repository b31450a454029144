"""Turning a ring of rows in host memory into batches: CPU without copies, CUDA with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from freqprep.errors import MissingPackageError, UsageError
from freqprep.streaming.batch import Batch
from freqprep.streaming.ring import Buffers, Ring

if TYPE_CHECKING:
    import torch


Tensors: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
"""Codes and labels of a batch."""

Make: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], Batch]"
"""Makes a batch of its codes and labels, and transforms it."""


class Delivery(Protocol):
    """Makes batches on one device; outlives the iterators."""

    @property
    def ring(self) -> Ring:
        """Memory that the threads fill with codes."""

    def begin(self, batches: int) -> Sending:
        """Start an iterator over a number of batches."""


class Sending(Protocol):
    """Makes the batches 0, 1, ... of one iterator."""

    @property
    def buffers(self) -> Buffers:
        """Buffer of each batch, which the threads fill with its codes."""

    def send(self, batch: int, labels: np.ndarray, make: Make) -> None:
        """Send a batch whose buffer is full; at most two may be sent and not yet released.

        It has as many rows as labels.
        """

    def take(self, batch: int) -> Batch:
        """Return a batch that was sent, once, for work queued from now on."""

    def release(self, batch: int) -> None:
        """Free a batch's buffer, unless it was lent: the consumer asks for the next batch."""

    def settle(self) -> None:
        """Wait until no copy reads the buffers."""


class HostDelivery:
    """Tensors in host memory.

    Parameters
    ----------
    shape : tuple of int
        Shape of the ring's codes.
    dtype : dtype
        int8 or int16.
    reuse : bool
        Whether tensors lie in the ring and are overwritten once the next batch is asked for.
        Otherwise they stay valid: up to two batches lie in the ring, further ones are copies.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, reuse: bool) -> None:
        self.ring = Ring(np.empty(shape, dtype))
        self._reuse = reuse

    def begin(self, batches: int) -> Sending:
        """Start an iterator; see `Delivery`."""
        return _HostSending(self.ring.begin(batches), self._reuse)


class _HostSending:
    def __init__(self, buffers: Buffers, reuse: bool) -> None:
        self.buffers, self._reuse = buffers, reuse
        self._sent: dict[int, tuple[np.ndarray, Make]] = {}
        self._lent = -1  # the batch that was lent last

    def send(self, batch: int, labels: np.ndarray, make: Make) -> None:
        self._sent[batch] = labels, make

    def take(self, batch: int) -> Batch:
        import torch

        labels, make = self._sent.pop(batch)
        codes = None if self._reuse else self.buffers.lend(batch, len(labels))
        if codes is not None:
            self._lent = batch
        else:
            codes = self.buffers.batch(batch, len(labels))
            codes = codes if self._reuse else codes.copy()
        return make(torch.from_numpy(codes), torch.from_numpy(labels))

    def release(self, batch: int) -> None:
        if self._lent != batch:
            self.buffers.free(batch)

    def settle(self) -> None:
        pass


class CudaDelivery:
    """Batches on a CUDA device, copied from a pinned ring and transformed by a separate stream.

    A batch is copied, and transformed, while the one before is worked on. Events keep the order:
    ``copied``, after which the ring's buffer is free, and ``ready``, after which the consumer's
    stream may read the batch. With ``reuse`` there are two sets of tensors, which may be
    overwritten after ``used``. (An event that was never recorded counts as passed.) What a
    transform makes, and without ``reuse`` the whole batch, has memory of its own from torch's
    allocator, where it is recorded as in use by the consumer's stream.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        As for `HostDelivery`.
    device : torch.device
        A device of type ``cuda``.
    reuse : bool
        As for `HostDelivery`.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype, device: torch.device, reuse: bool
    ) -> None:
        import torch

        kind = getattr(torch, dtype.name)
        self.device, self.reuse = device, reuse
        # On the CPU also where a program has set another default device.
        pinned: Any = {"device": "cpu", "pin_memory": True}
        self._host_codes = torch.empty(shape, dtype=kind, **pinned)
        self.host_labels = torch.empty((2, shape[1]), dtype=torch.int64, **pinned)
        self.ring = Ring(self._host_codes.numpy())
        cuda: Any = torch.cuda  # events and streams are not typed
        with torch.cuda.device(device):
            self.copied, self.ready, self.used = (
                [cuda.Event() for _ in range(2)] for _ in range(3)
            )
            self.stream = cuda.Stream(device)
            self.kept = [self.new(shape[1]) for _ in range(2)] if reuse else []
            # The allocator may have given memory that work queued here earlier still uses.
            self.stream.wait_stream(torch.cuda.current_stream(device))

    def begin(self, batches: int) -> Sending:
        """Start an iterator; see `Delivery`."""
        self.stream.synchronize()  # an iterator that was ended may still be copied from
        return _CudaSending(self, self.ring.begin(batches))

    def new(self, count: int) -> Tensors:
        """Allocate codes and labels for a number of rows."""
        import torch

        shape, kind = self._host_codes.shape[2:], self._host_codes.dtype
        codes = torch.empty((count, *shape), dtype=kind, device=self.device)
        return codes, torch.empty(count, dtype=torch.int64, device=self.device)


class _CudaSending:
    def __init__(self, delivery: CudaDelivery, buffers: Buffers) -> None:
        self.buffers, self._over = buffers, delivery
        self._sent: dict[int, Batch] = {}

    def send(self, batch: int, labels: np.ndarray, make: Make) -> None:
        import torch

        over, one, count = self._over, batch % 2, len(labels)
        # Free since `release` of the last batch but one, which waited for its copy.
        over.host_labels[one, :count] = torch.from_numpy(labels)
        codes = torch.from_numpy(self.buffers.batch(batch, count))
        with torch.cuda.stream(over.stream):
            if over.reuse:
                over.stream.wait_event(over.used[one])
                kept_codes, kept_labels = over.kept[one]
                targets = kept_codes[:count], kept_labels[:count]
            else:
                targets = over.new(count)
            for target, source in zip(targets, (codes, over.host_labels[one, :count]), strict=True):
                target.copy_(source, non_blocking=True)
            over.copied[one].record(over.stream)
            self._sent[batch] = make(*targets)
            over.ready[one].record(over.stream)

    def take(self, batch: int) -> Batch:
        import torch

        stream = torch.cuda.current_stream(self._over.device)
        stream.wait_event(self._over.ready[batch % 2])
        found = self._sent.pop(batch)
        for tensor in _tensors_of(found):
            tensor.record_stream(stream)
        return found

    def release(self, batch: int) -> None:
        import torch

        if self._over.reuse:
            self._over.used[batch % 2].record(torch.cuda.current_stream(self._over.device))
        self._over.copied[batch % 2].synchronize()
        self.buffers.free(batch)

    def settle(self) -> None:
        self._over.stream.synchronize()


def _tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """Find the tensors on a device in records, what they have cached, sequences and mappings."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.is_cuda:
            yield value
    elif dataclasses.is_dataclass(value):
        names = {field.name for field in dataclasses.fields(value)}
        for name in names.union(getattr(value, "__dict__", ())):  # `Batch.coefficients` is cached
            yield from _tensors_of(getattr(value, name))
    elif isinstance(value, (list, tuple, Mapping)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors_of(one)


def make_delivery(
    shape: tuple[int, ...], dtype: np.dtype, device: torch.device, reuse: bool
) -> Delivery:
    """Make the delivery for a device; parameters as for `HostDelivery`."""
    if device.type == "cuda":
        return CudaDelivery(shape, dtype, device, reuse)
    return HostDelivery(shape, dtype, reuse)


def check_device(device: str | torch.device) -> torch.device:
    """Return a device that batches can be delivered to.

    Parameters
    ----------
    device : str or torch.device

    Returns
    -------
    torch.device
        Of type ``cpu`` or ``cuda``.

    Raises
    ------
    MissingPackageError
        torch is not installed.
    UsageError
        The device does not exist, or is neither a CPU nor a CUDA device.
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
        raise UsageError(f"device={device!r} is not supported", "use cpu, cuda or cuda:N")
    devices = torch.cuda.device_count()
    if found.type == "cuda" and (found.index or 0) >= devices:
        there = f"CUDA devices here: {devices}"
        raise UsageError(f"device={device!r} cannot be used; {there}", "use cpu")
    return found
