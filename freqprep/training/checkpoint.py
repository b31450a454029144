"""The state of a run in one file, ``checkpoint.pt``: written aside, synced, renamed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from freqprep.errors import RunError, UsageError
from freqprep.models.weight_files import load_torch_file
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.storage.paths import local_path
from freqprep.training.model_config import ModelConfig, read_model_config

__all__ = ["load_model"]

CHECKPOINT = "checkpoint.pt"
"""Name of the file in a run's folder."""

FORMAT_NAME = "freqprep-checkpoint"
FORMAT_VERSION = "1.0"

AVERAGE, NETWORK = "average", "network"
"""Entries of a checkpoint: the averaged weights, which are the result, and the raw ones."""

_REMEDY = "restore the file, or train again into another folder"


def write_checkpoint(folder: Path, config: ModelConfig, state: dict[str, Any]) -> None:
    """Replace the checkpoint of a run.

    Parameters
    ----------
    folder : Path
    config : ModelConfig
        Of the run: the checkpoint is of no use with another one.
    state : dict
        Tensors and plain data: what `read_checkpoint` gives back.
    """
    buffer = io.BytesIO()
    head = {"format": FORMAT_NAME, "format_version": FORMAT_VERSION, "identity": config.identity}
    torch.save({**head, **state}, buffer)
    with full_disk_named(folder):
        write_parts(folder / CHECKPOINT, [buffer.getvalue()], folder)


def read_checkpoint(folder: Path, config: ModelConfig) -> dict[str, Any]:
    """Read the state in a run's folder, on the CPU. Nothing in the file is executed.

    Raises
    ------
    RunError
        There is none, it is damaged, of another format, or not of the network on the config.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise RunError(
            f"there is no checkpoint {path}",
            "train first: the first one is written after an epoch, or at an interrupt",
        )
    try:
        state = load_torch_file(path)
    except ValueError as error:
        raise RunError(f"the checkpoint {path} is damaged: {error}", _REMEDY) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT_NAME:
        raise RunError(f"{path} is not a checkpoint of freqprep", _REMEDY)
    version = state.get("format_version")
    version = version if isinstance(version, str) else "unknown"  # not said: it may be endless
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise RunError(
            f"{path} has format {version}, this freqprep reads {FORMAT_VERSION}",
            "install a newer freqprep",
        )
    if state.get("identity") != config.identity:
        raise RunError(
            f"{path} is of another run than the config beside it: the channels, the classes or the"
            " network differ",
            _REMEDY,
        )
    return state


def unfinished_note(folder: Path, config: ModelConfig) -> list[str]:
    """Note that a run has not ended, and how far its checkpoint is; nothing of one that has.

    Parameters
    ----------
    folder : Path
    config : ModelConfig
        Of the run: it has results when the run has ended.

    Returns
    -------
    list of str
        One note, or none.

    Raises
    ------
    RunError
        The checkpoint cannot be read.
    """
    if config.results:
        return []
    far = _position(read_checkpoint(folder, config).get("position"), config.recipe.get("epochs"))
    return [f"the run in {folder} is unfinished{far}; go on with train --resume"]


def _position(state: Any, epochs: Any) -> str:
    if not isinstance(state, dict) or type(epochs) is not int:
        return ""  # an older checkpoint
    epoch, step, steps = (state.get(name) for name in ("epoch", "step", "steps"))
    if type(epoch) is not int or type(step) is not int or type(steps) is not int:
        return ""
    if not step and epoch:  # the start of an epoch is the end of the one before it
        epoch, step = epoch - 1, steps
    return f": epoch {epoch + 1} of {epochs}, step {step} of {steps}"


def load_model(
    folder: str | Path, device: str | torch.device
) -> tuple[ModelConfig, torch.nn.Module]:
    """Load a trained network: its config, and its EMA weights in evaluation mode.

    Raises
    ------
    RunError
        The folder is not a run's, or its files do not fit one another.
    """
    folder = local_path(folder)
    config = read_model_config(folder)
    try:
        module = config.build()
    except UsageError as error:
        raise RunError(f"the config in {folder} cannot be used: {error.message}", _REMEDY) from None
    load_strict(module, read_checkpoint(folder, config).get(AVERAGE), folder)
    module = module.to(device, memory_format=torch.channels_last)
    return config, module.eval().requires_grad_(False)


def load_strict(module: torch.nn.Module, tensors: Any, folder: Path) -> None:
    """Load a checkpoint's tensors into a network; none may be missing or left over.

    Raises
    ------
    RunError
        They are those of another network.
    """
    try:
        module.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = str(error).splitlines()
        raise RunError(
            f"the checkpoint in {folder} is not of the network that its config names:"
            f" {' '.join(line.strip() for line in lines[:3])}",
            _REMEDY,
        ) from None
