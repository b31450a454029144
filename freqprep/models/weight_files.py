"""Weights of networks in files: reading, and checking that they fit a network."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from freqprep.engines.process_wide import warnings_ignored
from freqprep.errors import UsageError, some
from freqprep.storage.pickle_checks import check_pickle
from freqprep.storage.regular_file import open_regular
from freqprep.text.quantities import size

if TYPE_CHECKING:
    import torch

COUNTER = "num_batches_tracked"
"""End of the name of a norm's counter of batches, which is not used."""

_ZIP = b"PK\x03\x04"
_OLD_PICKLES = 5
_WRAPPERS = ("model", "state_dict", "average", "network")
_MOST_BYTES = 4 * 2**30
"""Limit of the entries of a file: the largest network here has 0.2 GB of weights."""

_REMEDY = (
    "give a .npz, .pt or .pth of torchvision's mobilenet_v2 or resnet50: its state dict, or the"
    " same with batch norm folded into weights and biases"
)


def wrong_file(path: Path, what: str, remedy: str = _REMEDY) -> UsageError:
    """Make the error for a file of weights that cannot be used."""
    return UsageError(f"{path} is not a network that can be used: {what}", remedy)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file by name; floating-point ones as float32.

    Parameters
    ----------
    path : Path
        ``.npz`` of arrays, or a ``.pt`` or ``.pth`` state dict, which may lie under ``model`` or
        ``state_dict``; of a freqprep checkpoint the averaged weights. Nothing in it is executed.

    Returns
    -------
    dict of str to Tensor
        On the CPU.

    Raises
    ------
    UsageError
        The file cannot be read, or has other contents.
    """
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        ".npz": _read_npz,
        ".pt": _read_state_dict,
        ".pth": _read_state_dict,
    }
    if not path.is_file():
        there = "it is not a file" if path.exists() else "there is no such file"
        raise wrong_file(path, f"it cannot be read: {there}")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise wrong_file(path, f"unknown kind of file {path.suffix!r}")
    try:
        found = reader(path)
    except Exception as error:  # of hostile files torch and numpy raise nearly every kind
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise wrong_file(path, f"it cannot be read: {reason}") from None
    strange = [name for name, value in found.items() if not _is_plain(value)]
    if strange:
        raise wrong_file(path, f"not plain tensors: {some(strange)}")
    if (total := 4 * sum(tensor.numel() for tensor in found.values())) > _MOST_BYTES:
        raise wrong_file(path, _too_large(total))  # one number may be repeated without end
    return {name: t.float() if t.is_floating_point() else t for name, t in found.items()}


def is_folded(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Return whether batch norm was folded into the weights and biases."""
    return not any(name.endswith("running_mean") for name in tensors)


def fitting(
    module: torch.nn.Module,
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    may_differ: tuple[str, ...] = (),
) -> dict[str, torch.Tensor]:
    """Select the tensors of a file that fit a network.

    Parameters
    ----------
    module : torch.nn.Module
    path : Path
        For messages.
    tensors : mapping of str to Tensor
        Contents of the file.
    may_differ : tuple of str
        Prefixes of names that may be missing, unknown, or of another shape. Without any, the
        result is the network's full state dict.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    UsageError
        The tensors are of another network, or no weights at all; the first wrong ones are named.
    """
    import torch

    wanted = module.state_dict()
    # Files may leave out how many batches a norm has seen: it is not used.
    counters = {
        name: torch.tensor(0)
        for name in wanted
        if name.endswith(COUNTER) and name.replace(COUNTER, "running_mean") in tensors
    }
    tensors = {**counters, **tensors}
    both = [name for name in wanted if name in tensors]
    unfit = [name for name in both if tensors[name].shape != wanted[name].shape]
    wrong = {
        "missing": [name for name in wanted if name not in tensors],
        "unknown": [name for name in tensors if name not in wanted],
        "of another shape": unfit,
    }
    wrong = {
        what: [name for name in names if not name.startswith(may_differ)]
        for what, names in wrong.items()
    }
    wrong["of another shape"] = [
        f"{name} {tuple(tensors[name].shape)} in place of {tuple(wanted[name].shape)}"
        for name in wrong["of another shape"]
    ]
    wrong["not of real numbers"] = [
        name
        for name in both
        if wanted[name].is_floating_point() and not tensors[name].is_floating_point()
    ]
    wrong["not finite"] = [name for name, t in tensors.items() if not t.isfinite().all()]
    problems = [f"{what}: {some(names)}" for what, names in wrong.items() if names]
    if problems:
        raise wrong_file(path, "; ".join(problems))
    return {name: tensors[name] for name in both if name not in unfit}


def _read_npz(path: Path) -> dict[str, Any]:
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _refuse_bomb(archive)
    with np.load(path, allow_pickle=False) as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("not an archive of arrays")
        arrays = {name: file[name] for name in file.files}
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu"}
    return arrays | {name: torch.from_numpy(array) for name, array in numbers.items()}


def _refuse_bomb(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that states more than any network has, before memory is taken for it."""
    stated = sum(entry.file_size for entry in archive.infolist())
    if stated > _MOST_BYTES:
        raise ValueError(_too_large(stated))


def _too_large(stated: int) -> str:
    return f"it unpacks to {size(stated)}, and no network has more than {size(_MOST_BYTES)}"


def _check_archive(file: BinaryIO) -> None:
    """Check what torch does not: sizes, checksums, and the steps of the pickle."""
    if not zipfile.is_zipfile(file):
        return  # torch says what is wrong with it
    with zipfile.ZipFile(file) as archive:
        _refuse_bomb(archive)
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} does not match")
        names = [name.lower() for name in archive.namelist()]  # torch asks for any case
        if len({*names}) < len(names):
            raise ValueError("two of its entries have one name")
        for entry in archive.infolist():
            if entry.filename.lower().endswith(".pkl"):
                with archive.open(entry) as pickle:
                    check_pickle(cast(BinaryIO, pickle))


def _is_plain(value: object) -> bool:
    """Return whether a value is a dense tensor in memory, not quantized."""
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _read_state_dict(path: Path) -> dict[str, Any]:
    found = load_torch_file(path)
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping):
        raise ValueError("not a state dict")
    return {str(name): value for name, value in found.items()}


def load_torch_file(path: Path) -> Any:
    """Load a file of ``torch.save`` to the CPU. Nothing in it is executed.

    Raises
    ------
    ValueError
        The file cannot be read, or a checksum does not match, which torch does not check.
    """
    import torch

    try:
        with open(open_regular(path), "rb") as file:
            if file.read(len(_ZIP)) == _ZIP:  # as torch asks
                _check_archive(file)
            else:
                file.seek(0)
                # Before 1.6 of torch; what is behind them are numbers.
                all(check_pickle(file) for _ in range(_OLD_PICKLES))
        with warnings_ignored:  # about old pickles: they load, or are refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of hostile files torch raises nearly every kind
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from None
