"""Selections of channels as small JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freqprep.errors import UnknownChannelError, UsageError
from freqprep.spectrum.channels import CHANNELS, Selection, channels
from freqprep.storage.document_format import SUFFIX, DocumentFormat
from freqprep.storage.paths import AnyPath

__all__ = ["SUFFIX", "read_document", "read_selection", "write_selection"]


def write_selection(path: AnyPath, selection: Selection, made_from: Mapping[str, Any]) -> None:
    """Write a selection to a file, atomically; an existing file is replaced.

    Parameters
    ----------
    path : Path or ObjectPath
        File to write; its name ends in ``.json``.
    selection : Selection
    made_from : mapping
        How the selection was chosen, as JSON data.

    Raises
    ------
    UsageError
        The path cannot be that of a selection, or the data is not JSON data.
    """
    document = {
        "name": selection.name,
        "channels": list(selection.names),
        "made_from": dict(made_from),
    }
    try:
        _FORMAT.write(path, document)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the selection {selection.name!r} cannot be saved: {error}",
            "give channels without repeats, and plain JSON data as what it is made from",
        ) from None


def read_selection(path: AnyPath) -> Selection:
    """Read the selection in a file; errors as in `read_document`."""
    document = read_document(path)
    return Selection(channels(document["channels"]).indices, document["name"])


def read_document(path: AnyPath) -> dict[str, Any]:
    """Read a selection's file as JSON data, checked.

    Raises
    ------
    StoreError
        The file is missing, too large, or was not written by `write_selection`.
    FormatVersionError
        The file has a newer format.
    """
    return _FORMAT.read(path)


def _check(document: dict[str, Any]) -> None:
    if not isinstance(document.get("name"), str):
        raise ValueError('"name" is no text')
    if not isinstance(document.get("made_from"), dict):
        raise ValueError('"made_from" is no object')
    names = document.get("channels")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError('"channels" is not a list of names')
    if len(names) > CHANNELS:
        raise ValueError(f'"channels" has {len(names)} names, and there are {CHANNELS} channels')
    try:
        channels(names)
    except UnknownChannelError as error:
        raise ValueError(error.message) from None


_FORMAT = DocumentFormat(
    "freqprep-selection",
    "1.0",
    "saved selection",
    _check,
    "write one with `freqprep stats STORE -o FILE.json`",
)
