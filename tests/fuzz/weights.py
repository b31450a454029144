"""Mutants of checkpoints and of files of weights."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
from fuzz import arrays, sealed
from fuzz.mutation import mutant

NAMES = ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var")


def checkpoint_seeds(_folder: Path) -> bytes:
    import torch

    buffer = io.BytesIO()
    network = {"a": torch.arange(9.0), "b": torch.ones(2, 3, dtype=torch.int64)}
    torch.save({"format": "freqprep-checkpoint", "network": network, "epoch": 3}, buffer)
    return buffer.getvalue()


def checkpoint_run(data: bytes, chance: random.Random, folder: Path) -> str:
    from freqprep.models.weight_files import load_torch_file

    path = folder / "checkpoint.pt"
    path.write_bytes(sealed.archive(data, chance, _entry))
    try:
        load_torch_file(path)
    except ValueError:
        return "rejected"
    return "accepted"


def _entry(_name: str, content: bytes, chance: random.Random) -> bytes:
    return mutant(content, chance)


def _array(_name: str, content: bytes, chance: random.Random) -> bytes:
    return arrays.npy(content, chance)


def seeds(_folder: Path) -> dict[str, bytes]:
    import torch

    tensors = _network().state_dict()
    packed, stated = io.BytesIO(), io.BytesIO()
    np.savez(packed, **{name: tensors[name].numpy() for name in NAMES})
    torch.save({"model": tensors}, stated)
    return {"weights.npz": packed.getvalue(), "weights.pt": stated.getvalue()}


def run(files: dict[str, bytes], chance: random.Random, folder: Path) -> str:
    """Read weights and fit them into a network."""
    from freqprep.models.weight_files import fitting, is_folded, read_tensors

    name = chance.choice(list(files))
    change = _entry if name.endswith(".pt") else _array
    path = folder / name
    path.write_bytes(sealed.archive(files[name], chance, change))
    tensors = read_tensors(path)
    network = _network()
    is_folded(tensors)
    network.load_state_dict(fitting(network, path, tensors))
    return "accepted"


def _network():
    import torch

    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
