"""The path of a device, run on tensors without values: what it starts, copies and waits for."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")
# Operations that start no kernel.
_FREE = {
    "alias", "as_strided", "detach", "device", "empty", "empty_like", "empty_strided", "expand",
    "is_pinned", "new_empty", "new_empty_strided", "permute", "resize_", "select", "slice",
    "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze",
    "view", "_reshape_alias", "_unsafe_view", "lift_fresh",
}  # fmt: skip
# Operations whose result the host must know before it goes on.
_WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero"}


class Counted(TorchDispatchMode):
    """Counts what is dispatched.

    ``kernels`` counts operations on the device, ``copies`` copies between host and device,
    ``waits`` what makes the host wait: a copy that is blocking or not from pinned memory, a value
    read back.
    """

    def __init__(self, pinned: set[int]) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self._pinned = pinned

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        if name in _WAITS or (name == "index" and _has_mask(args[1])):
            self.waits[name] += 1
        result = function(*args, **kwargs)
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        made = result.device.type if isinstance(result, torch.Tensor) else None
        if name in ("_to_copy", "copy_") and len({*devices, made} - {None}) > 1:
            self.copies[name] += 1
            source = args[-1 if name == "copy_" else 0]
            waits = not kwargs.get("non_blocking", args[2] if len(args) > 2 else False)
            if waits or id(source) not in self._pinned:
                self.waits[f"{name} that blocks"] += 1
        elif name not in _FREE and DEVICE.type in {*devices, made}:
            self.kernels[name] += 1
        return result


def _has_mask(indices) -> bool:
    return any(i is not None and i.dtype == torch.bool for i in indices)


@contextlib.contextmanager
def meta_device(patch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Let torch's ``meta`` stand for a CUDA device: its tensors have shapes and no values.

    Reading a value back raises. Yields the identities of pinned tensors.
    """
    pinned: set[int] = set()
    kept = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        copy = tensor.clone()
        kept.append(copy)  # so that no other tensor gets its identity
        pinned.add(id(copy))
        return copy

    patch.setattr(torch.Tensor, "pin_memory", pin)
    patch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    yield pinned
