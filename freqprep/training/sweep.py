"""How many channels a gate leaves open for each weight of its term in the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from freqprep.errors import UsageError
from freqprep.training.loop import train
from freqprep.training.request import TrainingRequest


def sweep(request: TrainingRequest, lambdas: Sequence[float]) -> list[dict[str, Any]]:
    """Train the same gated network with several weights of the gate.

    The published work does not state the weight, and it depends on the task: a sweep shows what
    it buys.

    Parameters
    ----------
    request : TrainingRequest
        With a gate; each weight's run is in a folder of its own in ``request.run``.
    lambdas : sequence of float

    Returns
    -------
    list of dict
        For each weight ``lambda``, ``run``, ``open`` (mean number of open gates), ``channels``
        (the proposed selection) and ``top1`` (share, None without validation).
    """
    if not request.gate:
        raise UsageError("a sweep of the gate's weight without a gate", "train with a gate")
    rows = []
    for weight in lambdas:
        recipe = dataclasses.replace(request.recipe, gate_lambda=weight)
        folder = request.run / f"lambda-{weight:g}"
        results = train(dataclasses.replace(request, recipe=recipe, run=folder)).results
        rows.append(
            {
                "lambda": weight,
                "run": str(folder),
                "open": results["gate"]["open"],
                "channels": results["gate"]["channels"],
                "top1": results["validation"].get("top1"),
            }
        )
    return rows
