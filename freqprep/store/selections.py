"""Selections as files, by name in a store, and everything that names channels.

A saved selection is a small JSON file, anywhere or in ``STORE/.selections``. It is no part of any
split: content ids do not depend on it.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from freqprep.errors import FormatVersionError, StoreError, UnknownChannelError, UsageError
from freqprep.spectrum.channels import CHANNELS, NAMES, PUBLISHED, Selection, channels
from freqprep.spectrum.moments import Moments
from freqprep.store.disk import full_disk_named, sync_folder, write_parts

FOLDER = ".selections"
"""Where a store keeps its selections."""

FORMAT_NAME = "freqprep-selection"
FORMAT_VERSION = "1.0"

ChannelsLike = str | int | Sequence[int | str] | Selection | None
"""All that `select` takes."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_RULE = re.compile(r"(triangle|zigzag)-.*")
_SUFFIX = ".json"
_MOST_BYTES = 2**20


class HasEnergies(Protocol):
    """What `select` needs of a split."""

    path: Path

    @property
    def moments(self) -> Moments:
        """Sums of codes in raster order."""

    @property
    def steps(self) -> np.ndarray:
        """Quantization steps in raster order."""


def select(given: ChannelsLike, split: HasEnergies | None = None) -> Selection:
    """Resolve everything that names channels.

    Parameters
    ----------
    given : str, int, sequence, Selection or None
        What `freqprep.spectrum.channels.channels` takes; besides

        - a count N, as a number or its digits: the N channels of the most energy in the split;
        - the path of a selection's file, ending in ``.json``;
        - the name of a selection saved in the split's store;
        - None: all 192.
    split : Split, optional
        Needed for counts and saved names.

    Returns
    -------
    Selection

    Raises
    ------
    UnknownChannelError
        No such name, channel or index; the text lists the known selections.
    UsageError
        A count outside 1..192, or without a split.
    StoreError
        A selection's file is missing, damaged or of a newer format.
    """
    if isinstance(given, Selection):
        return given
    if given is None:
        return channels("all")
    if isinstance(given, (int, np.integer)):
        return _most_energy(operator.index(given), split)
    if not isinstance(given, str):
        return channels(given)
    text = given.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return _most_energy(int(text), split)
    if text.endswith(_SUFFIX):
        return read_selection(Path(text))
    if split is None:
        return channels(text)
    store = split.path.parent
    if _NAME.fullmatch(text) and _path(store, text).is_file():
        return read_selection(_path(store, text))
    try:
        return channels(text)
    except UnknownChannelError as error:
        saved = ", ".join(saved_names(store))
        also = f"; saved in {store}: {saved}" if saved else ""
        raise UnknownChannelError(error.message, f"{error.remedy}{also}") from None


def save_selection(store: Path, selection: Selection, made_from: Mapping[str, Any]) -> Path:
    """Save a selection under its name in a store; one of the same name is replaced.

    Parameters
    ----------
    store : Path
    selection : Selection
        Its name: a letter, then letters, digits, ``_``, ``.`` and ``-``, at most 64; not that of
        a channel, a rule or a published selection.
    made_from : mapping
        How it was chosen, as JSON data.

    Raises
    ------
    UsageError
        The name cannot be used.
    """
    check_name(selection.name)
    folder = store / FOLDER
    with full_disk_named(folder):
        folder.mkdir(exist_ok=True)
        sync_folder(store)
    path = _path(store, selection.name)
    write_selection(path, selection, made_from)
    return path


def check_name(name: str) -> None:
    """Refuse a name that means something else, or cannot be a file's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a selection",
            "use a letter, then up to 63 letters, digits, '_', '.' and '-'",
        )
    if name in (*PUBLISHED, *NAMES, "all") or _RULE.fullmatch(name) or name.endswith(_SUFFIX):
        raise UsageError(f"{name!r} already means something else", "choose another name")


def write_selection(path: Path, selection: Selection, made_from: Mapping[str, Any]) -> None:
    """Write a selection's file, whole or not at all."""
    document = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "name": selection.name,
        "channels": list(selection.names),
        "made_from": dict(made_from),
    }
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    with full_disk_named(path.parent):
        write_parts(path, [text.encode()], aside=path.parent)


def read_selection(path: Path) -> Selection:
    """The selection in a file.

    Raises
    ------
    StoreError
        The file is missing, too large, or not what `write_selection` writes.
    FormatVersionError
        It is of a newer format.
    """
    return _selection(path, read_document(path))


def read_document(path: Path) -> dict[str, Any]:
    """A selection's file as JSON data; its format is checked, its channels are not."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise StoreError(
            f"the selection {path} cannot be read: {error.strerror}",
            "save one with `freqprep stats -o FILE`",
        ) from None
    if len(data) > _MOST_BYTES:
        raise _wrong(path, f"it has more than {_MOST_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise _wrong(path, "it is not JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT_NAME:
        raise _wrong(path, f'it is not an object with "format": "{FORMAT_NAME}"')
    version = str(document.get("format_version"))
    major, _, minor = version.partition(".")
    ours = FORMAT_VERSION.split(".")
    if major != ours[0] or not re.fullmatch("[0-9]{1,9}", minor) or int(minor) > int(ours[1]):
        raise FormatVersionError(
            f"{path} has format {version}, this freqprep reads up to {FORMAT_VERSION}",
            "install a newer freqprep",
        )
    return document


def _selection(path: Path, document: Mapping[str, Any]) -> Selection:
    names, name = document.get("channels"), document.get("name")
    if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
        raise _wrong(path, '"channels" is not a list of names')
    if not isinstance(name, str):
        raise _wrong(path, '"name" is no text')
    try:
        return Selection(channels(names).indices, name)
    except UnknownChannelError as error:
        raise _wrong(path, error.message) from None


def saved_names(store: Path) -> list[str]:
    """Names of the selections in a store, sorted; whether they can be read is another matter."""
    files = (store / FOLDER).glob(f"*{_SUFFIX}")
    return sorted(path.stem for path in files if _NAME.fullmatch(path.stem))


def saved_documents(store: Path) -> dict[str, dict[str, Any]]:
    """Name -> file as JSON data of each selection in a store but those with `problems`."""
    damaged = {where for where, _ in problems(store)}
    good = (name for name in saved_names(store) if f"{FOLDER}/{name}{_SUFFIX}" not in damaged)
    return {name: read_document(_path(store, name)) for name in good}


def problems(store: Path) -> list[tuple[str, str]]:
    """What is wrong in a store's folder of selections: path inside the store, and what."""
    found = []
    folder = store / FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        where = f"{FOLDER}/{path.name}"
        if path.suffix != _SUFFIX or not _NAME.fullmatch(path.stem):
            found.append((where, "is not a selection"))
            continue
        try:
            if read_selection(path).name != path.stem:
                found.append((where, "does not have the name that is in it"))
        except StoreError as error:
            found.append((where, error.message))
    return found


def _path(store: Path, name: str) -> Path:
    return store / FOLDER / f"{name}{_SUFFIX}"


def _most_energy(count: int, split: HasEnergies | None) -> Selection:
    """The channels of the largest mean squared coefficient; ties go to the lower index."""
    if not 1 <= count <= CHANNELS:
        raise UsageError(f"{count} channels", f"a count goes from 1 to {CHANNELS}")
    if split is None:
        raise UsageError(
            f"{count} channels of which data? A count takes those of the most energy in a split",
            "give the split as well, or name the channels",
        )
    energy = split.moments.total_squares * split.steps.astype(np.float64) ** 2
    order = np.argsort(-energy, kind="stable")[:count]
    return Selection(tuple(int(index) for index in order), str(count))


def _wrong(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{path} is not a saved selection: {what}", "save it again with `freqprep stats`"
    )
