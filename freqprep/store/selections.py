"""Selections of channels by rule, count, file, or name saved in a store.

A store has its selections in ``STORE/.selections``, one file each. They are not part of a split:
content ids do not depend on them.
"""

from __future__ import annotations

import contextlib
import operator
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from freqprep.errors import OUTSIDE, StoreError, UnknownChannelError, UsageError, some
from freqprep.spectrum.channels import (
    CHANNELS,
    FREE_NAME,
    NAMES,
    PUBLISHED,
    RULE_PREFIXES,
    RULES,
    Selection,
    channels,
    described,
)
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import full_disk_named, refuse_links, sync_folder
from freqprep.storage.document_format import PARTIAL_PREFIX
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, as_path
from freqprep.store.layout import PathT
from freqprep.store.manifest import check_root
from freqprep.store.schema import SplitAttributes
from freqprep.store.selection_file import SUFFIX, read_document, read_selection, write_selection
from freqprep.store.steps_file import read_steps

__all__ = [
    "FOLDER",
    "ChannelsLike",
    "check_name",
    "problems",
    "read_selection",
    "save_selection",
    "saved_documents",
    "saved_file",
    "saved_selections",
    "select",
    "steps_path",
    "write_selection",
]

FOLDER = ".selections"
"""Folder of a store's selections."""

STEPS_SUFFIX = ".steps"
"""Before ``.json`` in the name of the steps file beside a selection that needs one."""

ChannelsLike = str | int | AnyPath | Sequence[int | str] | Selection | None
"""Everything that `select` takes."""

_COUNT = re.compile(r"[0-9]{1,9}")


class HasEnergies(Protocol):
    """The part of a split that `select` needs."""

    path: AnyPath

    @property
    def attributes(self) -> SplitAttributes:
        """Attributes, with the channels stored."""

    @property
    def moments(self) -> Moments:
        """Moments of the codes, channels in raster order."""

    @property
    def steps(self) -> np.ndarray:
        """Quantization steps, channels in raster order."""


def select(selection: ChannelsLike, split: HasEnergies | None = None) -> Selection:
    """Resolve a selection of channels.

    Parameters
    ----------
    selection : str, int, Path, ObjectPath, sequence, Selection or None
        - ``paper-6``, ``square-24``, ``learned-24``, ``paper-32``, ``paper-48``, ``paper-64``,
          ``all``, ``square-Y+C``, ``triangle-N`` or ``zigzag-Y+Cb+Cr``;
        - channel names with commas (``y_0_0,cb_0_0``), or a sequence of names or raster indices;
        - a count N, as a number or its digits: the N channels with the most energy in the split,
          in falling order;
        - the path of a selection's file, which ends in ``.json``;
        - the name of a selection saved in the split's store;
        - None: all that the split stores, in raster order; without a split all 192.
    split : Split, optional
        Needed for counts and saved names. Channels that it does not store are refused.

    Returns
    -------
    Selection

    Raises
    ------
    UnknownChannelError
        There is no such name, channel or index, with the known selections in the message; or
        the split does not store a channel.
    UsageError
        A count is below 1 or above the number of channels stored, or given without a split.
    StoreError
        The selection's file is missing, damaged or of a newer format.
    """
    if split is None:
        return channels("all") if selection is None else _resolve(selection, None)
    stored = split.attributes.channels
    if selection is None:
        return channels("all") if len(stored) == CHANNELS else Selection(tuple(sorted(stored)))
    found = _resolve(selection, split)
    if absent := [NAMES[index] for index in found.indices if index not in stored]:
        raise UnknownChannelError(
            f"{split.path} does not store {len(absent)} of the {len(found)} channels of"
            f" {found.name or 'the selection'!r}: {some(absent)}",
            f"name some of the {len(stored)} that it stores: {described(stored)}",
        )
    return found


def _resolve(
    selection: str | int | AnyPath | Sequence[int | str] | Selection, split: HasEnergies | None
) -> Selection:
    if isinstance(selection, Selection):
        return selection
    if isinstance(selection, Path | ObjectPath):
        return read_selection(selection)
    if isinstance(selection, (int, np.integer)) and not isinstance(selection, bool):
        return _most_energy(operator.index(selection), split)
    if not isinstance(selection, str):
        return channels(selection)  # type: ignore[arg-type]  # refuses bool by name
    text = selection.strip()
    if _COUNT.fullmatch(text):
        return _most_energy(int(text), split)
    if text.endswith(SUFFIX):
        return read_selection(as_path(text))
    return _named(text, split)


def save_selection(
    store: str | AnyPath, selection: Selection, made_from: Mapping[str, Any]
) -> AnyPath:
    """Save a selection in a store under its name, replacing one of the same name.

    Parameters
    ----------
    store : str, Path or ObjectPath
    selection : Selection
        Its name must pass `check_name`.
    made_from : mapping
        How the selection was chosen, as JSON data.

    Returns
    -------
    Path or ObjectPath
        The selection's file.

    Raises
    ------
    UsageError
        The name cannot be used, or the data is not JSON data.
    StoreError
        The path is not a store, or its folder of selections is a symbolic link.
    """
    check_name(selection.name)
    check_root(store := as_path(store))
    path = selection_path(store, selection.name)
    if isinstance(store, Path):
        refuse_linked_folder(store)
        # If the folder is a file, it is refused below.
        with full_disk_named(store), contextlib.suppress(FileExistsError):
            (store / FOLDER).mkdir(exist_ok=True)
    write_selection(path, selection, made_from)
    if isinstance(store, Path):
        sync_folder(store)
    return path


def refuse_linked_folder(store: Path) -> None:
    """Raise StoreError where a store's folder of selections is a symbolic link."""
    refuse_links(store, store / FOLDER)


def steps_path(selection: PathT) -> PathT:
    """Return the path of the steps file beside a selection's file."""
    return selection.with_name(f"{selection.stem}{STEPS_SUFFIX}{SUFFIX}")


def check_name(name: str) -> None:
    """Refuse a name that means something else, or cannot be a file name.

    Raises
    ------
    UsageError
        The name cannot be used; the message says why.
    """
    if why := _refusal(name):
        raise UsageError(
            f"{name!r} cannot be the name of a saved selection: it {why}", "choose another name"
        )


def saved_file(store: AnyPath, name: str) -> AnyPath | None:
    """Return the file of a saved selection; None if there is none of that name."""
    path = selection_path(store, name)
    there = path.is_file() if isinstance(path, ObjectPath) else os.path.lexists(path)
    return path if there else None


def saved_selections(store: AnyPath) -> dict[str, Selection]:
    """Return the selections saved in a store by name; files with `problems` are left out."""
    return {name: read_selection(selection_path(store, name)) for name in saved_documents(store)}


def saved_documents(store: AnyPath) -> dict[str, dict[str, Any]]:
    """Return the documents of the selections saved in a store by name, as JSON data."""
    return {path.stem: read_document(path) for path in sound_files(store) if not _is_steps(path)}


def sound_files(store: AnyPath) -> list[AnyPath]:
    """Return the files of the selections saved in a store, and of their steps, without problems."""
    return [path for path in _entries(store) if not _problem(path)]


def problems(store: AnyPath) -> list[tuple[str, str]]:
    """Return path inside the store and description of each problem with its selections."""
    folder = store / FOLDER
    if isinstance(folder, Path) and os.path.lexists(folder) and not folder.is_dir():
        return [(FOLDER, "is not a folder")]
    found = [(f"{FOLDER}/{path.name}", _problem(path)) for path in _entries(store)]
    if isinstance(folder, Path) and folder.is_symlink():
        found.append((FOLDER, "is a symbolic link, through which nothing is written"))
    return [(where, what) for where, what in found if what]


def _entries(store: AnyPath) -> list[AnyPath]:
    """Return the entries of the folder of selections, except files being written."""
    folder = store / FOLDER
    if isinstance(folder, ObjectPath):
        names = [] if folder.is_web else folder.entries()
    else:
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
    return [folder / name for name in names if not name.startswith(PARTIAL_PREFIX)]


def _is_steps(path: AnyPath) -> bool:
    return path.name.endswith(STEPS_SUFFIX + SUFFIX)


def _problem(path: AnyPath) -> str:
    """Describe what is wrong with an entry of the folder; empty if nothing is."""
    if path.suffix != SUFFIX or not path.is_file():
        return "is not a selection"
    if _is_steps(path):
        return _steps_problem(path)
    if why := _refusal(path.stem):
        return f"cannot be selected by its name, which {why}"
    try:
        name = read_selection(path).name
    except OUTSIDE:
        raise
    except StoreError as error:
        return error.message
    return "" if name == path.stem else f"holds a selection of another name: {name[:64]!r}"


def _steps_problem(path: AnyPath) -> str:
    try:
        read_steps(path)
    except OUTSIDE:
        raise
    except StoreError as error:
        return error.message
    return ""


def _refusal(name: str) -> str:
    """Say why a selection cannot have a name; empty if it can."""
    if name in PUBLISHED or name == "all":
        return "is a published selection"
    if name in NAMES:
        return "is a channel"
    if name.startswith(RULE_PREFIXES):
        return f"reads like a rule ({', '.join(RULES)})"
    if not FREE_NAME.fullmatch(name):
        return "is not a letter and then at most 63 letters, digits, '_', '.' and '-'"
    if name.endswith(STEPS_SUFFIX):
        return f"reads like the steps beside a selection, ending in {STEPS_SUFFIX}"
    return f"reads like a file, ending in {SUFFIX}" if name.endswith(SUFFIX) else ""


def selection_path(store: PathT, name: str) -> PathT:
    """Return the path of a saved selection, there or not."""
    return store / FOLDER / f"{name}{SUFFIX}"


def _named(text: str, split: HasEnergies | None) -> Selection:
    """Resolve a name: a saved selection, if the name means nothing else, or a known one."""
    if split is not None and not _refusal(text):
        path = selection_path(split.path.parent, text)
        if path.is_file():
            return read_selection(path)
    saved: list[str] = []
    try:
        return channels(text)
    except UnknownChannelError as error:
        if not error.message.startswith("unknown"):  # known, but twice, or none
            raise
        also = "a name saved in a store needs the split as well"
    if split is not None:
        store = split.path.parent
        files = (path for path in _entries(store) if path.suffix == SUFFIX)
        names = (path.stem for path in files if not _is_steps(path))
        saved = [name for name in names if not _refusal(name)]
        also = f"saved in {store}: {', '.join(saved) or 'none'}"
    try:
        return channels(text, saved)
    except UnknownChannelError as error:
        raise UnknownChannelError(error.message, f"{error.remedy}; {also}") from None


def _most_energy(count: int, split: HasEnergies | None) -> Selection:
    """Return the channels with the largest mean squared coefficient; ties: lower index first."""
    most = CHANNELS if split is None else len(split.attributes.channels)
    if not 1 <= count <= most:
        raise UsageError(f"the number of channels must be from 1 to {most}, got {count}")
    if split is None:
        raise UsageError(
            f"{count} channels of which data? A count takes those of the most energy in a split",
            "give the split as well, or name the channels",
        )
    energy = split.moments.energy(split.steps)
    order = np.argsort(-energy, kind="stable")[:count]  # NaN, of channels not stored, comes last
    return Selection(tuple(int(index) for index in order), str(count))
