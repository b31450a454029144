"""Options of ``freqprep train`` that mean more than their text."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from freqprep.errors import UsageError

NETWORK = "Network"
"""Panel of the options of the network."""

Gate = Annotated[
    bool,
    typer.Option(
        "--gate",
        help="Learn which channels to keep, 24 by default; ends with a selection.",
        rich_help_panel=NETWORK,
    ),
]
GateChannels = Annotated[
    int | None,
    typer.Option(help="With --gate, channels to keep.", metavar="N", rich_help_panel=NETWORK),
]
GateBudget = Annotated[
    str | None,
    typer.Option(
        help="With --gate, bytes to keep instead: 20KB/image, or 60GB of the whole split.",
        metavar="SIZE",
        rich_help_panel=NETWORK,
    ),
]
GateLambda = Annotated[
    str | None,
    typer.Option(
        help="For experts, instead of a goal: weight of the open gates in the loss, decided for "
        "each image; several with commas train one run each and compare them.",
        metavar="X",
        rich_help_panel=NETWORK,
    ),
]

_DEFAULT_CHANNELS = 24
"""Channels of a gate with no goal: as many as the published work chooses, to compare the two."""


def choose_policy(aligned_crops: bool, smallest_crop: float | None) -> Any:
    """Return the requested augmentation; None is the preset's."""
    from freqprep.augment import DetectorPolicy, Policy

    if aligned_crops and smallest_crop is not None:
        raise UsageError(
            "--aligned-crops with --smallest-crop",
            "leave one out: the former is for classifiers, the latter for detectors",
        )
    if smallest_crop is not None:
        return DetectorPolicy(smallest_crop=smallest_crop)
    return Policy(aligned=True) if aligned_crops else None


def gate_goals(
    gate: bool, channels: int | None, budget: str | None, lambdas: str | None
) -> list[dict[str, Any]]:
    """Return the recipe's fields for a gate: one set, or one for each of several lambdas."""
    options = {"--gate-channels": channels, "--gate-budget": budget, "--gate-lambda": lambdas}
    given = [name for name, value in options.items() if value is not None]
    if not gate:
        if given:
            raise UsageError(f"{given[0]} without --gate", "add --gate, or leave it out")
        return [{}]
    if len(given) > 1:
        raise UsageError(" with ".join(given), "give one: each says how many channels stay open")
    if lambdas is not None:
        return [{"gate_lambda": weight} for weight in _parse_lambdas(lambdas)]
    if budget is not None:
        return [{"gate_budget": budget}]
    return [{"gate_channels": _DEFAULT_CHANNELS if channels is None else channels}]


def _parse_lambdas(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        what = f"--gate-lambda must be numbers with commas, got {text!r}"
        raise UsageError(what, "for example 0.03,0.1") from None


def parse_ramp(text: str | None) -> tuple[int, int] | None:
    """Read a ramp of grids: two whole numbers with a colon."""
    if text is None:
        return None
    try:
        first, last = map(int, text.split(":"))
    except ValueError:
        what = f"--grid-ramp must be two whole numbers with a colon, got {text!r}"
        raise UsageError(what, "for example 20:28") from None
    return first, last
