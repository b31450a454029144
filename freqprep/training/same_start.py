"""Check that all processes of a run begin the same: data, options and position."""

from __future__ import annotations

from typing import Any, NoReturn

from freqprep.errors import RunError
from freqprep.training.distributed import World
from freqprep.training.model_config import ModelConfig


def check_same_plan(world: World, config: ModelConfig) -> None:
    """Check that all processes train the same network on the same data; all must call this.

    Raises
    ------
    RunError
        In every process: two of them differ; the text says which, and in what.
    """
    first, *others = world.gather(config.to_dict())
    for rank, other in enumerate(others, 1):
        for name, value in first.items():
            if other[name] != value:
                _refuse(rank, name, other[name], value)


def _refuse(rank: int, name: str, theirs: Any, ours: Any) -> NoReturn:
    if isinstance(ours, dict):
        keys = (key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
        key = next(keys)
        theirs, ours = theirs.get(key), ours.get(key)
        if name == "content_ids":
            raise RunError(
                f"process {rank} reads another split {key} than process 0: its content id is"
                f" {theirs}, that of process 0 {ours}",
                "name a store that all processes see, or copies of one",
            )
        name = f"{name}.{key}"
    raise RunError(
        f"process {rank} trains something else than process 0: its {name} is {theirs}, that of"
        f" process 0 {ours}",
        "start all processes with the same options, store and freqprep",
    )


def check_same_step(world: World, steps: int) -> None:
    """Check that all processes go on from the same step; all must call this.

    Parameters
    ----------
    world : World
    steps : int
        Of the optimizer that are done; 0 without a checkpoint.

    Raises
    ------
    RunError
        In every process: they see different checkpoints.
    """
    first, *others = world.gather(steps)
    for rank, other in enumerate(others, 1):
        if other != first:
            raise RunError(
                f"process {rank} is at step {other}, process 0 at step {first}",
                "--run must be a folder that all processes see",
            )
