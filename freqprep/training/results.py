"""What came of a run: accuracy, and what it costs in parameters, arithmetic and bytes."""

from __future__ import annotations

from typing import Any

import torch

from freqprep.models.networks import multiply_accumulates
from freqprep.spectrum.channels import channels
from freqprep.store.split import Split
from freqprep.store.summary import bytes_read
from freqprep.training.card import Card


def results_of(
    card: Card, network: torch.nn.Module, train: Split, validation: dict[str, Any]
) -> dict[str, Any]:
    """The results that a run's card states.

    Parameters
    ----------
    card : Card
    network : torch.nn.Module
    train : Split
    validation : dict
        The last epoch's `Evaluation.to_dict`; empty without validation.

    Returns
    -------
    dict
        ``validation``; ``parameters``; ``multiply_accumulates`` of one image;
        ``read_bytes_per_image``: from disk, of the channels read, the shards' indexes included;
        ``source_bytes_per_image``: of the image files that the store was made from.
    """
    valid = max(int(train.valid.sum()), 1)
    read = channels(list(card.inputs.read)).indices
    return {
        "validation": validation,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "multiply_accumulates": multiply_accumulates(network, card.inputs.shape),
        "read_bytes_per_image": bytes_read(train, read) / valid,
        "source_bytes_per_image": int(train.array("source_bytes")[train.valid].sum()) / valid,
    }
