"""Selections of channels as small JSON files.

Files may come from anyone: anything wrong with one is a named error.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freqprep.errors import FormatVersionError, StoreError, UnknownChannelError, UsageError
from freqprep.spectrum.channels import CHANNELS, Selection, channels
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.storage.strict_json import finite, refuse_constant
from freqprep.store.layout import PARTIAL_PREFIX

SUFFIX = ".json"
"""Suffix of selection files, which tells a path from a name."""

FORMAT_NAME = "freqprep-selection"
FORMAT_VERSION = "1.0"

_MOST_BYTES = 2**20
_MOST_LEVELS = 32
_MOST_SHOWN = 200


def write_selection(path: Path, selection: Selection, made_from: Mapping[str, Any]) -> None:
    """Write a selection to a file, atomically; an existing file is replaced.

    Parameters
    ----------
    path : Path
        File to write; its name ends in ``.json``.
    selection : Selection
    made_from : mapping
        How the selection was chosen, as JSON data.

    Raises
    ------
    UsageError
        The path cannot be that of a selection, or the data is not JSON data.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} cannot hold a selection", f"give a name that ends in {SUFFIX}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder", "create it, or name another path")
    data = _to_bytes(path, selection, made_from)
    with (
        full_disk_named(path.parent),
        tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=path.parent) as aside,
    ):
        write_parts(path, [data], Path(aside))


def read_selection(path: Path) -> Selection:
    """Read the selection in a file; errors as in `read_document`."""
    document = read_document(path)
    return Selection(channels(document["channels"]).indices, document["name"])


def read_document(path: Path) -> dict[str, Any]:
    """Read a selection's file as JSON data, checked.

    Raises
    ------
    StoreError
        The file is missing, too large, or was not written by `write_selection`.
    FormatVersionError
        The file has a newer format.
    """
    try:
        if not path.is_file():  # reading a pipe would block
            raise StoreError(
                f"there is no file {path}", "write one with `freqprep stats STORE -o FILE.json`"
            )
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise StoreError(
            f"the selection {path} cannot be read: {error.strerror}", "check its permissions"
        ) from None
    try:
        return _parsed(data, path)
    except ValueError as error:
        what = str(error)
        shown = what if len(what) <= _MOST_SHOWN else f"{what[:_MOST_SHOWN]}..."
        raise StoreError(
            f"{path} is not a saved selection: {shown}", "save it again with `freqprep stats`"
        ) from None


def _to_bytes(path: Path, selection: Selection, made_from: Mapping[str, Any]) -> bytes:
    document = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "name": selection.name,
        "channels": list(selection.names),
        "made_from": dict(made_from),
    }
    try:
        data = (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()
        _parsed(data, path)  # nothing is written that could not be read
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the selection {selection.name!r} cannot be saved: {error}",
            "give channels without repeats, and plain JSON data as what it is made from",
        ) from None
    return data


def _parsed(data: bytes, where: Path) -> dict[str, Any]:
    """Parse the bytes of a file; raise `ValueError` if something is wrong with them."""
    document = _json(data)
    if not isinstance(document, dict) or document.get("format") != FORMAT_NAME:
        raise ValueError(f'it is not an object with "format": "{FORMAT_NAME}"')
    # The version first: a newer format may have changed the rest.
    _check_version(document.get("format_version"), where)
    if not isinstance(document.get("name"), str):
        raise ValueError('"name" is no text')
    if not isinstance(document.get("made_from"), dict):
        raise ValueError('"made_from" is no object')
    _check_channels(document.get("channels"))
    return document


def _json(data: bytes) -> Any:
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    try:
        document = json.loads(data, parse_constant=refuse_constant, parse_float=finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON (line {error.lineno}, column {error.colno})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    except RecursionError:
        document = None
    if document is None or _deeper(document, _MOST_LEVELS):
        raise ValueError(f"it is null, or nested more than {_MOST_LEVELS} deep")
    return document


def _deeper(document: Any, levels: int) -> bool:
    """Return whether lists and objects are nested in more than a number of levels."""
    layer = [document]
    for _ in range(levels):
        lists = [node for node in layer if isinstance(node, list)]
        lists += [list(node.values()) for node in layer if isinstance(node, dict)]
        layer = [child for children in lists for child in children]
    return any(isinstance(node, (list, dict)) for node in layer)


def _check_version(version: Any, where: Path) -> None:
    pattern = r"([0-9]{1,9})\.([0-9]{1,9})"
    match = re.fullmatch(pattern, version) if isinstance(version, str) else None
    if match is None:
        raise ValueError('"format_version" is not like "1.0"')
    major, minor = (int(part) for part in FORMAT_VERSION.split("."))
    if int(match[1]) != major or int(match[2]) > minor:
        raise FormatVersionError(
            f"{where} has format {version}, this freqprep reads up to {FORMAT_VERSION}",
            "install a newer freqprep",
        )


def _check_channels(names: Any) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError('"channels" is not a list of names')
    if len(names) > CHANNELS:
        raise ValueError(f'"channels" has {len(names)} names, and there are {CHANNELS} channels')
    try:
        channels(names)
    except UnknownChannelError as error:
        raise ValueError(error.message) from None
