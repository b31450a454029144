"""Selections that go with a store when it is packed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from freqprep.storage.disk import sync_folder, write_parts
from freqprep.storage.document_format import MOST_BYTES, PARTIAL_PREFIX
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import read_regular
from freqprep.store.selections import (
    FOLDER,
    STEPS_SUFFIX,
    problems,
    refuse_linked_folder,
    saved_file,
    selection_path,
    sound_files,
)


def carry_selections(store: AnyPath, target: AnyPath) -> list[str]:
    """Copy the selections saved in a store, and their steps, except those whose names another has.

    Parameters
    ----------
    store, target : Path or ObjectPath
        The caller holds the lock of ``target``.

    Returns
    -------
    list of str
        What was not copied, and why: files that are damaged, and those of which ``target`` has
        others.

    Raises
    ------
    StoreError
        The folder of selections of ``target`` is a symbolic link.
    """
    theirs = {path.stem: read_regular(path, MOST_BYTES) for path in sound_files(store)}
    kept = {name for name in theirs if saved_file(target, name) is not None}
    of_others = {f"{name}{STEPS_SUFFIX}" for name in kept}  # steps belong to their selection
    new = theirs.keys() - kept - of_others
    _write_new(target, {name: theirs[name] for name in sorted(new)})
    others = [name for name in sorted(kept) if not _is(target, name, theirs[name])]
    return [
        *(f"{store} has a selection that is not copied: {what}" for _, what in problems(store)),
        *(f"{target} keeps its own selection {name}" for name in others),
    ]


def _is(store: AnyPath, name: str, data: bytes) -> bool:
    """Return whether the file of a selection is sound, and has some bytes."""
    path = selection_path(store, name)
    return path in sound_files(store) and read_regular(path, MOST_BYTES) == data


def _write_new(store: AnyPath, documents: Mapping[str, bytes]) -> None:
    """Write files of selections that a store does not have."""
    if isinstance(store, ObjectPath):
        for name, data in documents.items():
            selection_path(store, name).write([data])
        return
    refuse_linked_folder(store)
    aside = store / FOLDER / f"{PARTIAL_PREFIX}carried"
    shutil.rmtree(aside, ignore_errors=True)  # left by a run that was killed
    if documents:
        aside.mkdir(parents=True)
        for name, data in documents.items():
            write_parts(selection_path(store, name), [data], aside)
        aside.rmdir()
        sync_folder(store)
