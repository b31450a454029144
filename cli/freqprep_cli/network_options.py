"""Options that only one kind of network has."""

from __future__ import annotations

from typing import Any

from freqprep.errors import UsageError


def refuse_options_of_others(kind: str, options: dict[str, dict[str, Any]]) -> None:
    """Refuse options that mean nothing to a kind of network.

    Parameters
    ----------
    kind : str
        Of the network: ``kind`` of its `freqprep.training.tasks.TrainingTask`.
    options : dict of str to dict
        For each kind, its options by name, None where not given.

    Raises
    ------
    UsageError
    """
    for other, given in options.items():
        for name, value in given.items():
            if value is not None and other != kind:
                raise UsageError(f"{name} of a {kind}", f"leave it out: it is for {other}s")
