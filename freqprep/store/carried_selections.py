"""Selections that go with a store when it is packed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from freqprep.storage.disk import sync_folder, write_parts
from freqprep.storage.document_format import PARTIAL_PREFIX
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.selections import FOLDER, saved_documents, saved_file, selection_path


def carry_selections(store: AnyPath, target: AnyPath) -> list[str]:
    """Copy the selections saved in a store into another, except those whose names it has.

    Parameters
    ----------
    store, target : Path or ObjectPath
        The caller holds the lock of ``target``.

    Returns
    -------
    list of str
        Names that ``target`` has already, with other content.
    """
    theirs = {name: selection_path(store, name).read_bytes() for name in saved_documents(store)}
    kept = [name for name in theirs if saved_file(target, name) is not None]
    _write_new(target, {name: theirs[name] for name in theirs.keys() - set(kept)})
    return [name for name in kept if selection_path(target, name).read_bytes() != theirs[name]]


def _write_new(store: AnyPath, documents: Mapping[str, bytes]) -> None:
    """Write files of selections that a store does not have."""
    if isinstance(store, ObjectPath):
        for name, data in documents.items():
            selection_path(store, name).write([data])
        return
    aside = store / FOLDER / f"{PARTIAL_PREFIX}carried"
    shutil.rmtree(aside, ignore_errors=True)  # left by a run that was killed
    if documents:
        aside.mkdir(parents=True)
        for name, data in documents.items():
            write_parts(selection_path(store, name), [data], aside)
        aside.rmdir()
        sync_folder(store)
