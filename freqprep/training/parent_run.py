"""What a run takes over from the run whose checkpoint it begins with (``--init``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from freqprep.augment import ClassifierInput, DetectorInput
from freqprep.errors import RunError
from freqprep.models.initial import CLASSIFIERS, FIRST_LAYERS
from freqprep.sources.listing import Classes, other_names
from freqprep.text.quantities import plural
from freqprep.training.checkpoint import CHECKPOINT
from freqprep.training.model_config import ModelConfig, read_model_config

Input = TypeVar("Input", ClassifierInput, DetectorInput)


def parent_config(init: Path | None) -> ModelConfig | None:
    """Return the config of the run that a file of weights is the checkpoint of.

    Parameters
    ----------
    init : Path or None

    Returns
    -------
    ModelConfig or None
        None for any other file, such as that of an RGB network.
    """
    if init is None or init.name != CHECKPOINT:
        return None
    try:
        return read_model_config(init.parent)
    except RunError:
        return None  # a checkpoint that was copied by itself


def normalised_as(inputs: Input, parent: ModelConfig | None) -> Input:
    """Take over the normalisation of a run with the same channels: its weights are for that.

    With another grid measured moments differ, of high frequencies several times (docs/method.md).
    """
    if parent is None or inputs.kind != "frequency" or parent.inputs.channels != inputs.channels:
        return inputs
    return replace(inputs, mean=parent.inputs.mean, std=parent.inputs.std)


def gate_note(init: Path, config: ModelConfig, parent: ModelConfig | None) -> str:
    """Say that the parent's gate is not taken over, with what it had closed; empty otherwise."""
    if parent is None or not parent.gate or config.gate:
        return ""
    found = parent.results.get("gate")
    kept = len(found.get("channels", ())) if isinstance(found, dict) and parent.selects else None
    of = f" kept {kept} of {plural(len(parent.inputs.channels), 'channel')}, and" if kept else ""
    return f"{init}: its gate{of} is left out, so all channels are open in this run"


def not_taken_over(config: ModelConfig, parent: ModelConfig | None) -> dict[str, tuple[str, ...]]:
    """Find layers that are for something else in the parent run, whatever their shape.

    Parameters
    ----------
    config : ModelConfig
        Of the run that begins.
    parent : ModelConfig or None

    Returns
    -------
    dict of str to tuple of str
        What differs -> prefixes of the names of tensors.
    """
    if parent is None:
        return {}
    found = {}
    mine, theirs = config.inputs.channels, parent.inputs.channels  # none of RGB
    if mine and theirs and mine != theirs:
        found["channels"] = FIRST_LAYERS
    before, now = (Classes(one.class_ids, one.class_names) for one in (parent, config))
    if before.ids != now.ids or other_names(before, now):
        found["classes"] = CLASSIFIERS
    return found
