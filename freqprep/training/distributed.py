"""The processes of a run: one, or as many as ``torchrun`` started."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed

from freqprep.errors import RunError, UsageError, did_you_mean
from freqprep.streaming.ranks import not_torchrun, process_numbers

__all__ = ["World", "choose_device", "init_distributed"]


@dataclass(frozen=True)
class World:
    """One process among those of a run.

    Attributes
    ----------
    rank, size : int
    device : torch.device
        Where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_leader(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place. Whole numbers, and zeros but for one, are exact."""
        if self.size > 1:
            on_device = tensor.to(self.device)
            torch.distributed.all_reduce(on_device)
            tensor.copy_(on_device)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether it is true in one of the processes; all of them must call this."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor([int(flag)])).item())

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in their order; they must be picklable."""
        if self.size == 1:
            return [value]
        values = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def broadcast_parameters(self, module: torch.nn.Module) -> None:
        """Copy the first process's parameters and buffers to all processes."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                torch.distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            torch.distributed.barrier()


def choose_device(name: str | None, local: int | None = None) -> torch.device:
    """The named device; a GPU where there is one, when no name is given.

    Parameters
    ----------
    name : str or None
    local : int or None
        Number of this process among those on this host, if there are several: each takes the GPU
        of its own number, and is bound to it before anything is done on a GPU. Otherwise each would
        take memory of the first one too.

    Returns
    -------
    torch.device

    Raises
    ------
    UsageError
        There is no such device.
    """
    gpu = torch.cuda.is_available()
    if name is None and not gpu:
        return torch.device("cpu")
    if local is not None and (name is None or re.fullmatch(r"cuda(:\d{1,3})?", name)):
        name = f"cuda:{local}"
    elif name is None:
        return torch.device("cuda")
    remedy = "use cpu, cuda or cuda:N" if gpu else "without a GPU, use cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        near = "did you mean cuda? " if name == "gpu" else did_you_mean(name, ("cpu", "cuda"))
        raise UsageError(f"device {name!r} cannot be used", near + remedy)
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} GPUs are here" if gpu else "no GPU is here"
        if torch.version.cuda is None and torch.version.hip is None:
            found = "this PyTorch is built without CUDA"
        raise UsageError(f"device {name!r} cannot be used: {found}", remedy)
    try:
        if device.type == "cuda" and local is not None:
            torch.cuda.set_device(device)
        torch.empty(0, device=device)
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UsageError(f"device {name!r} cannot be used: {reason}", remedy) from None
    return device


@contextlib.contextmanager
def init_distributed(device: str | None) -> Iterator[World]:
    """Join the other processes that ``torchrun`` started, or be alone."""
    size, rank, local = process_numbers()
    chosen = choose_device(device, local if size > 1 else None)
    with _fast_products() if chosen.type == "cuda" else contextlib.nullcontext():
        if size == 1:
            yield World(0, 1, chosen)
        else:
            with _among(size, rank, chosen) as world:
                yield world


@contextlib.contextmanager
def _fast_products() -> Iterator[None]:
    """Let CUDA choose faster kernels, in the block only: the caller's products are as before."""
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    # What is not computed in bfloat16 (augmentation) may take TF32: 0.02 grey levels.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark


@contextlib.contextmanager
def without_benchmark(wanted: bool = True) -> Iterator[None]:
    """Keep cuDNN from measuring its kernels in the block, where a shape is met once or seldom."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before and not wanted
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextlib.contextmanager
def _among(size: int, rank: int, chosen: torch.device) -> Iterator[World]:
    """Join several processes."""
    try:
        torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise not_torchrun((str(error).splitlines() or [""])[0]) from None
    try:
        yield World(rank, size, chosen)
    except RuntimeError as error:
        # gloo's errors are no others than RuntimeError.
        if not isinstance(error, torch.distributed.DistError) and "gloo" not in str(error):
            raise
        raise RunError(
            f"process {rank} of {size} has lost another one: {str(error).splitlines()[0]}",
            "see what that one says, and run again, a training with --resume",
        ) from None
    finally:
        torch.distributed.destroy_process_group()
