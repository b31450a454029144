"""Checks of a request whose grid rises over the epochs."""

from __future__ import annotations

from freqprep.errors import UsageError, some
from freqprep.models.networks import DEFAULT_GRID, check_grid
from freqprep.spectrum.channels import Selection
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.training.request import TrainingRequest


def chosen_grid(request: TrainingRequest) -> int:
    """Return the network's grid: the one asked for, or the model's own."""
    return DEFAULT_GRID[request.model] if request.grid is None else request.grid


def check_ramp(request: TrainingRequest, grid: int) -> None:
    """Refuse grids that the network cannot take, or that are larger than its own."""
    ramp = request.recipe.grid_ramp
    if ramp is None:
        return
    check_grid(request.model, ramp[0])
    if ramp[1] > grid:
        raise UsageError(
            f"a grid ramp of {ramp[0]}:{ramp[1]} for a network of a {grid}x{grid} grid",
            f"end the ramp at {grid} or below (--grid-ramp), or use a larger --grid",
        )


def check_early_read(
    request: TrainingRequest, train: Split, used: Selection | None, read: Selection
) -> None:
    """Refuse channels that are not some of those read, and all of those used."""
    if request.early_read is None:
        return
    if request.recipe.grid_ramp is None:
        raise UsageError("--early-read without --grid-ramp", "add a ramp, or leave it out")
    early = set(select(request.early_read, train).names)
    for what, missing in (
        ("lacks channels that are used", set(used.names if used is not None else ()) - early),
        ("has channels that are not read later", early - set(read.names)),
    ):
        if missing:
            raise UsageError(
                f"--early-read {what}: {some(sorted(missing))}",
                "read at least the channels used, and at most those of --read",
            )
