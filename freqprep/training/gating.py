"""Evaluation of a trained gate: how often each channel is open, and the selection that follows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from freqprep.importance.score_file import FORMAT_NAME
from freqprep.models.gate import ChannelGate
from freqprep.spectrum.channels import CHANNELS, NAMES, Selection, channels
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.storage.document_hash import with_hash
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.selection_file import write_selection
from freqprep.training.distributed import World
from freqprep.training.evaluate_classifier import preprocessed_batches
from freqprep.training.gate_map import write_gate_map
from freqprep.training.recipe import Recipe
from freqprep.training.request import SCORES, SELECTION, RunPlan, TrainingRequest


def gate_of(
    network: torch.nn.Module, plan: RunPlan, world: World, threads: int | None
) -> dict[str, Any]:
    """Measure how often each gate is open over the validation split, as in evaluation.

    Parameters
    ----------
    network : torch.nn.Module
        With a gate; put into evaluation mode.
    plan : RunPlan
        Without a validation split, the training split is taken.
    world : World
    threads : int or None
        Threads that read and decode; None as in `Loader`.

    Returns
    -------
    dict
        ``open``: mean number of gates that decide to be open; ``probabilities``: for each channel
        the mean probability of being open, in the order of the network's channels.
    """
    gate = network.eval().gate
    assert isinstance(gate, ChannelGate)
    split, inputs = plan.train if plan.val is None else plan.val, plan.config.classifier_inputs
    shape = 2, len(inputs.channels)
    sums = torch.zeros(shape, dtype=torch.float64, device=world.device)
    batch_size = int(plan.config.recipe["batch_size"])
    with torch.inference_mode():
        batches = preprocessed_batches(split, inputs, world, batch_size=batch_size, threads=threads)
        for _, images in batches:
            off, on = gate.logits(images).double().unbind(-1)
            sums[0] += torch.sigmoid(on - off).sum(0)
            sums[1] += (on > off).double().sum(0)
    probabilities, opened = world.sum(sums.cpu()) / int(split.valid.sum())
    return {"open": float(opened.sum()), "probabilities": probabilities.tolist()}


def propose(
    gate: dict[str, Any], plan: RunPlan, request: TrainingRequest, world: World
) -> dict[str, Any]:
    """Rank the channels by how likely their gates are open, and propose as many as are open.

    Of a gate that selects, these are the channels it has chosen. The scores are written for
    ``freqprep stats --scores``, the selection for ``--channels``, into the folder of the run, and a
    picture of both if matplotlib is installed.

    Parameters
    ----------
    gate : dict
        From `gate_of` or `GateSelector.state`.
    plan : RunPlan
    request : TrainingRequest
    world : World

    Returns
    -------
    dict
        ``open``: mean number of open gates; ``channels``: names of the proposed selection, the
        most likely first; ``bytes``: that they take, an image; ``scores_file`` and
        ``selection_file``: names in the folder.
    """
    probabilities = np.array(gate["probabilities"])
    order = np.argsort(-probabilities, kind="stable").tolist()
    used = channels(list(plan.config.inputs.channels)).indices
    if plan.config.selects:
        places = [place for place in order if gate["chosen"][place]]
    else:
        places = order[: max(1, round(gate["open"]))]
    selection = Selection(tuple(used[place] for place in places), "gate")
    if world.is_leader:
        probability = dict(zip(used, probabilities.tolist(), strict=True))
        _write_scores(request, probability)
        made_from = {**_goal(request.recipe), "content_ids": plan.config.content_ids}
        write_selection(request.run / SELECTION, selection, made_from)
        write_gate_map(request.run, probability, selection.indices, plan.train)
    return {
        "open": gate["open"],
        "channels": list(selection.names),
        "bytes": bytes_read(plan.train, selection.indices) / max(int(plan.train.valid.sum()), 1),
        "scores_file": SCORES,
        "selection_file": SELECTION,
    }


def _goal(recipe: Recipe) -> dict[str, Any]:
    """Return what a gate was trained to reach."""
    if recipe.gate_budget is not None:
        return {"budget": recipe.gate_budget}
    if recipe.gate_channels is not None:
        return {"count": recipe.gate_channels}
    return {"lambda": recipe.gate_lambda}


def _write_scores(request: TrainingRequest, probability: dict[int, float]) -> None:
    """Write the scores of all 192 channels: those that the gate does not see are 0."""
    document = {
        "format": FORMAT_NAME,
        "name": "gate",
        "meaning": "mean probability that a trained gate leaves the channel open",
        "unit": "",
        "values": {NAMES[index]: probability.get(index, 0.0) for index in range(CHANNELS)},
    }
    data = (json.dumps(with_hash(document), indent=1) + "\n").encode()
    with full_disk_named(request.run):
        write_parts(request.run / SCORES, [data], request.run)
