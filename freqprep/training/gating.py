"""What a trained gate says: how often each channel is open, and the selection it proposes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from freqprep.augment import Preprocess
from freqprep.importance.score_file import FORMAT_NAME
from freqprep.models.gate import ChannelGate
from freqprep.spectrum.channels import CHANNELS, NAMES, Selection, channels
from freqprep.store.disk import full_disk_named, write_parts
from freqprep.store.selection_file import write_selection
from freqprep.store.split import Split
from freqprep.streaming.loader import Loader
from freqprep.training.card import Card
from freqprep.training.request import Plan, TrainingRequest
from freqprep.training.world import World

SCORES, SELECTION = "gate-scores.json", "gate-selection.json"
"""Names of the files in a run's folder."""


def propose(
    network: torch.nn.Module, plan: Plan, world: World, request: TrainingRequest
) -> dict[str, Any]:
    """Rank the channels by how likely their gates are open, and propose as many as are open.

    Measured over the validation split, or the training split where there is none. The scores are
    written for ``freqprep stats --scores``, the selection for ``--channels``, into the folder of
    the run.

    Returns
    -------
    dict
        ``open``: mean number of open gates; ``channels``: names of the proposed selection, the
        most likely first; ``scores_file`` and ``selection_file``: names in the folder.
    """
    split = plan.train if plan.val is None else plan.val
    probabilities, opened = open_gates(network, plan.card, split, world, request.threads)
    order = np.argsort(-probabilities, kind="stable")
    count = max(1, round(float(opened.sum())))
    used = channels(list(plan.card.inputs.channels)).indices
    chosen = Selection(
        tuple(used[place] for place in order[:count]), SELECTION.removesuffix(".json")
    )
    made_from = {
        "gate": str(request.run),
        "lambda": request.recipe.gate_lambda,
        "content_id": split.content_id,
    }
    if world.leads:
        _write_scores(request, dict(zip(used, probabilities.tolist(), strict=True)))
        write_selection(request.run / SELECTION, chosen, made_from)
    return {
        "open": float(opened.sum()),
        "channels": list(chosen.names),
        "scores_file": SCORES,
        "selection_file": SELECTION,
    }


def open_gates(
    network: torch.nn.Module, card: Card, split: Split, world: World, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """How often the gates are open over a split, as evaluation sees its images.

    Returns
    -------
    probabilities, opened : ndarray of float64, shape (channels,)
        Means over the images of the gate's probability of being open, and of its decision.
    """
    sums = torch.zeros(2, len(card.inputs.channels), dtype=torch.float64)
    gate = network.eval().gate
    assert isinstance(gate, ChannelGate)
    with (
        Loader(
            split,
            list(card.inputs.read),
            batch_size=int(card.recipe["batch_size"]),
            shuffle=False,
            rank=world.rank,
            world_size=world.size,
            threads=threads,
            device=world.device,
        ) as loader,
        torch.inference_mode(),
    ):
        preprocess = Preprocess(card.inputs, loader.steps, split.attributes.encoding.geometry.grid)
        for batch in loader:
            images = preprocess(batch.codes, batch.sizes)
            off, on = gate.logits(images).double().unbind(-1)
            sums[0] += torch.sigmoid(on - off).sum(0).cpu()
            sums[1] += (on > off).double().sum(0).cpu()
    probabilities, opened = (world.sum(sums) / int(split.valid.sum())).numpy()
    return probabilities, opened


def _write_scores(request: TrainingRequest, probability: dict[int, float]) -> None:
    """All 192 channels: those that the gate was not shown are never open."""
    document = {
        "format": FORMAT_NAME,
        "name": "gate",
        "meaning": "mean probability that a trained gate leaves the channel open",
        "unit": "",
        "values": {NAMES[index]: probability.get(index, 0.0) for index in range(CHANNELS)},
    }
    data = (json.dumps(document, indent=1) + "\n").encode()
    with full_disk_named(request.run):
        write_parts(request.run / SCORES, [data], request.run)
