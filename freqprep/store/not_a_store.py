"""Errors for paths that are not stores: what the path is instead, and what to name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from freqprep.errors import AccessDeniedError, CorruptStoreError, StoreError, did_you_mean, some
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.layout import MODEL_FILE, PARTIAL_PREFIX
from freqprep.store.schema import FORMAT_NAME

_DOCUMENT = "zarr.json"
_MAKE = "make one with `freqprep convert`"
_MOST_FOLDERS = 64
_MOST_BYTES = 2**20


def not_a_store(path: AnyPath) -> StoreError:
    """Return the error for a path without a store's document."""
    if isinstance(path, ObjectPath):
        return _not_a_store_in_a_bucket(path)
    if not os.path.lexists(path):
        return StoreError(f"there is no store {path}", f"check the path, or {_MAKE}")
    if not path.exists():
        return StoreError(f"{path} is a link to nothing", f"check the link, or {_MAKE}")
    if not path.is_dir():
        return StoreError(f"{path} is a file, not a store", f"a store is a folder: {_MAKE}")
    return (
        _a_run(path)
        or inside_a_store(path)
        or _with_stores_inside(path, sorted(path.iterdir()))
        or _without_document(path)
    )


def _not_a_store_in_a_bucket(path: ObjectPath) -> StoreError:
    if error := _a_run(path) or inside_a_store(path):
        return error
    if path.is_web:
        return StoreError(f"there is no store {path}", "check the address")
    try:
        folders = [path / name for name in path.folders()[:_MOST_FOLDERS]]
        if not folders and not path.is_dir():
            near = did_you_mean(str(path), (str(path.parent / n) for n in path.parent.folders()))
            return StoreError(f"there is no store {path}", f"{near}check the URL, or {_MAKE}")
    except AccessDeniedError:  # keys without the right to list
        return StoreError(f"there is no store {path}", f"check the URL, or {_MAKE}")
    return _with_stores_inside(path, folders) or _without_document(path)


def _a_run(path: AnyPath) -> StoreError | None:
    if not (path / MODEL_FILE).is_file():
        return None
    return StoreError(
        f"{path} is the folder of a training run, not a store",
        "name the store; runs are for `freqprep evaluate`, `predict` and `export`",
    )


def _with_stores_inside(path: AnyPath, children: Iterable[AnyPath]) -> StoreError | None:
    children = list(children)
    found = zip(children, for_each(has_store_document, children), strict=True)
    if inside := [str(child) for child, is_store in found if is_store]:
        return StoreError(
            f"{path} is not a store, but has stores in it", f"name one: {some(inside)}"
        )
    return None


def _without_document(path: AnyPath) -> StoreError:
    return StoreError(f"{path} is not a store (it has no {_DOCUMENT})", _MAKE)


def inside_a_store(path: AnyPath) -> StoreError | None:
    """Return the error for a split or another folder inside a store; None for other paths."""
    for root, inside in _parents(path):
        if has_store_document(root):
            return _part_of(path, root, inside)
    return None


def _parents(path: AnyPath) -> Iterable[tuple[AnyPath, tuple[str, ...]]]:
    """Yield each folder above a path, and the parts of the path below it."""
    if isinstance(path, ObjectPath):
        parts = tuple(path.key.split("/"))
        for count in range(len(parts) - 1, 0, -1):
            yield ObjectPath(path.root, "/".join(parts[:count])), parts[count:]
        return
    full = Path(os.path.abspath(path))
    for root in full.parents:
        yield root, full.relative_to(root).parts


def _part_of(path: AnyPath, root: AnyPath, inside: tuple[str, ...]) -> StoreError:
    local = isinstance(path, Path) and not path.is_absolute()
    store, split = Path(os.path.relpath(str(root))) if local else root, inside[0]
    if split.startswith(PARTIAL_PREFIX):
        return StoreError(
            f"{path} belongs to an unfinished split of the store {store}",
            "finish it with `freqprep convert ... --resume`, and name the store",
        )
    what = "is one split of a store" if len(inside) == 1 else "is a part of a store"
    return StoreError(
        f"{path} {what}", f"name the store, {store}; commands on one split take --split {split}"
    )


def has_store_document(folder: AnyPath) -> bool:
    """Return whether a folder has the document of a store's root, of any version."""
    try:
        return is_root_document(read_regular(folder / _DOCUMENT, _MOST_BYTES))
    except (OSError, CorruptStoreError):
        return False


def is_root_document(data: bytes) -> bool:
    """Return whether bytes are the document of a store's root, of any version."""
    try:
        attributes = parse(data)["attributes"]
        return bool(attributes["format"] == FORMAT_NAME and "split" not in attributes)
    except (ValueError, KeyError, TypeError):
        return False
