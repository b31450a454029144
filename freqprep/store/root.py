"""The root of a store: a folder or prefix whose ``zarr.json`` says so, made once."""

from __future__ import annotations

import os

from freqprep.errors import UsageError
from freqprep.storage.disk import sync_file, sync_folder
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.layout import root_document
from freqprep.store.lease import create_alone
from freqprep.store.manifest import GROUP_DOCUMENT

_NEW_ROOT = ".zarr.json.new"


def open_or_create_root(store: AnyPath) -> None:
    """Create the root of a store if it does not exist.

    Raises
    ------
    UsageError
        The path holds something that is not a freqprep store.
    """
    if store_exists(store):
        return
    if isinstance(store, ObjectPath):
        create_alone(store / GROUP_DOCUMENT, root_document())
        return
    store.mkdir(parents=True, exist_ok=True)
    sync_folder(store.parent)  # those above it are there: the lock's file is in one
    aside = store / _NEW_ROOT
    aside.unlink(missing_ok=True)  # it may be a link: this folder may be anyone's
    aside.write_bytes(root_document())
    sync_file(aside)
    os.rename(aside, store / GROUP_DOCUMENT)
    sync_folder(store)


def store_exists(store: AnyPath) -> bool:
    """Return whether a store of this format exists at a path.

    If not, the path is free: a store can be created there.

    Raises
    ------
    UsageError
        The path holds something that is not a freqprep store.
    """
    path = store / GROUP_DOCUMENT
    if path.is_file() and path.read_bytes() == root_document():
        return True
    if not _is_free(store):
        raise UsageError(
            f"{store} exists and is not a freqprep store",
            "name a new path; nothing was changed there",
        )
    return False


def _is_free(store: AnyPath) -> bool:
    if isinstance(store, ObjectPath):
        return not (store.is_file() or store.is_dir())
    begun = [_NEW_ROOT]  # left by a run that was killed right after its start
    return not os.path.lexists(store) or (store.is_dir() and os.listdir(store) in ([], begun))
