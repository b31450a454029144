"""Checks of the documents by which a store and its splits are opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from freqprep.errors import OUTSIDE, CorruptStoreError, FreqprepError, StoreError
from freqprep.storage.paths import AnyPath, as_path, entry_names
from freqprep.storage.regular_file import read_regular
from freqprep.store import selections
from freqprep.store.layout import PARTIAL_PREFIX, REPAIR_PREFIX, REPLACED_PREFIX, root_document
from freqprep.store.manifest import (
    GROUP_DOCUMENT,
    MANIFEST,
    MOST_BYTES,
    read_group_attributes,
    read_manifest,
)
from freqprep.store.reader import Store, open_store
from freqprep.store.schema import SplitAttributes

MISSING = "is missing"


@dataclass(frozen=True)
class Problem:
    """One problem found in a store.

    Attributes
    ----------
    where : str
        Path inside the store.
    what : str
        Description of the problem.
    """

    where: str
    what: str


def open_damaged(path: str | AnyPath) -> Store:
    """Open a store whose own document may be damaged, if it has a split by which it is known.

    Raises
    ------
    StoreError
        The path is not a store.
    """
    place = as_path(path)
    try:
        return open_store(place)
    except OUTSIDE:
        raise
    except StoreError:
        if place.is_dir() if isinstance(place, Path) else not place.is_web:
            store = Store(place, checked=False)
            if any(_is_of_a_store(place / name) for name in store):
                return store
        raise


def _is_of_a_store(folder: AnyPath) -> bool:
    """Return whether a folder has the manifest of a split of its name."""
    try:
        return read_manifest(folder)[0].attributes.get("split") == folder.name
    except OUTSIDE:
        raise
    except StoreError:
        return False


def unopened(folder: AnyPath, error: FreqprepError) -> Problem:
    """Return the problem of a split that cannot be opened, at the file that is to blame."""
    manifest, document = (f"{folder.name}/{name}" for name in (MANIFEST, GROUP_DOCUMENT))
    blamed = manifest
    try:
        found, identity = read_manifest(folder)
        SplitAttributes.from_dict(found.attributes)
        blamed = document
        published = read_group_attributes(folder).get("content_id")
    except OUTSIDE:
        raise
    except StoreError as unreadable:
        return Problem(blamed, unreadable.message)
    if published == identity:
        return Problem(manifest, error.message)
    return Problem(manifest, f"or {document} is not what was published: {error.message}")


def root_problems(store: Store) -> Iterator[Problem]:
    """Find what is wrong with a store's own document, and what does not belong to it."""
    path = store.path
    try:
        if read_regular(path / GROUP_DOCUMENT, MOST_BYTES) != root_document():
            yield Problem(GROUP_DOCUMENT, "is not what was written")
    except FileNotFoundError:
        yield Problem(GROUP_DOCUMENT, MISSING)
    except CorruptStoreError as error:
        yield Problem(GROUP_DOCUMENT, error.message)
    if not store.listed:
        return
    # In a bucket the shards of an unfinished split are at their final keys.
    ours = {GROUP_DOCUMENT, selections.FOLDER, *store, *store.unfinished}
    for name in entry_names(path):
        unfinished = name.startswith((PARTIAL_PREFIX, REPLACED_PREFIX, REPAIR_PREFIX))
        if name not in ours and not unfinished:
            if (path / name / GROUP_DOCUMENT).is_file():
                yield Problem(f"{name}/{MANIFEST}", MISSING)
            else:
                yield Problem(name, "does not belong to the store")
