"""Runs over several weights of the gate's term in the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from freqprep.errors import UsageError
from freqprep.streaming.ranks import process_numbers
from freqprep.training.loop import train
from freqprep.training.planning import plan
from freqprep.training.request import TrainingRequest

__all__ = ["sweep"]


def sweep(request: TrainingRequest, lambdas: Sequence[float]) -> list[dict[str, Any]]:
    """Train a gated network once for each weight of the gate.

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
    if len({*lambdas}) < len(lambdas):
        raise UsageError(f"the same weight twice: {', '.join(map(str, lambdas))}", "give each once")
    if process_numbers()[0] > 1:
        raise UsageError("a sweep in several processes", "train each weight by itself")
    requests = [
        dataclasses.replace(
            request,
            recipe=dataclasses.replace(request.recipe, gate_lambda=weight),
            run=request.run / f"lambda-{weight!r}",
        )
        for weight in lambdas
    ]
    for one in requests:
        plan(one)  # what cannot be done is refused before the first is trained
    return [_row(one, train(one).results) for one in requests]


def _row(request: TrainingRequest, results: dict[str, Any]) -> dict[str, Any]:
    return {
        "lambda": request.recipe.gate_lambda,
        "run": str(request.run),
        "open": results["gate"]["open"],
        "channels": results["gate"]["channels"],
        "top1": results["validation"].get("top1"),
    }
