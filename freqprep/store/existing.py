"""Splits that a store has already: which of them a run makes, and which it must not touch."""

from __future__ import annotations

from collections.abc import Mapping

from freqprep.errors import SplitExistsError
from freqprep.storage.paths import AnyPath
from freqprep.store.writer import UnfinishedSplit


def pending(partials: Mapping[str, UnfinishedSplit], resume: bool) -> dict[str, UnfinishedSplit]:
    """Return the splits still to make: on resume, those that are not finished."""
    return {
        name: partial
        for name, partial in partials.items()
        if not (resume and partial.finished() and not partial.begun())
    }


def refuse_existing(store: AnyPath, partials: Mapping[str, UnfinishedSplit]) -> None:
    """Refuse to make splits that exist.

    Raises
    ------
    SplitExistsError
        A split exists, finished or not.
    """
    if finished := [name for name, partial in partials.items() if partial.occupied()]:
        raise SplitExistsError(
            f"{store} already has the split{'s' * (len(finished) > 1)} {', '.join(finished)}",
            "use --overwrite to replace it, --resume to finish the others, or another store",
        )
    refuse_begun(store, partials)


def refuse_begun(store: AnyPath, partials: Mapping[str, UnfinishedSplit]) -> None:
    """Raise SplitExistsError if a split was begun and not finished: work would be lost."""
    if begun := [name for name, partial in partials.items() if partial.exists()]:
        raise SplitExistsError(
            f"{store} has {'unfinished splits' if len(begun) > 1 else 'an unfinished split'}"
            f" {', '.join(begun)}",
            "use --resume to finish it, or --overwrite to start over; if parts of it (--part) still"
            " run, let them end and use --finalize",
        )
