"""Errors for paths that are not stores: what the path is instead, and what to name."""

from __future__ import annotations

import json
import os
from pathlib import Path

from freqprep.errors import StoreError, some
from freqprep.store.layout import MODEL_FILE, PARTIAL_PREFIX
from freqprep.store.schema import FORMAT_NAME

_DOCUMENT = "zarr.json"
_MAKE = "make one with `freqprep convert`"


def not_a_store(path: Path) -> StoreError:
    """Return the error for a path without a store's document."""
    if not os.path.lexists(path):
        return StoreError(f"there is no store {path}", f"check the path, or {_MAKE}")
    if not path.exists():
        return StoreError(f"{path} is a link to nothing", f"check the link, or {_MAKE}")
    if not path.is_dir():
        return StoreError(f"{path} is a file, not a store", f"a store is a folder: {_MAKE}")
    if (path / MODEL_FILE).is_file():
        return StoreError(
            f"{path} is the folder of a training run, not a store",
            "name the store; runs are for `freqprep evaluate`, `predict` and `export`",
        )
    if error := inside_a_store(path):
        return error
    inside = [str(child) for child in sorted(path.iterdir()) if has_store_document(child)]
    if inside:
        return StoreError(
            f"{path} is not a store, but has stores in it", f"name one: {some(inside)}"
        )
    return StoreError(f"{path} is not a store (it has no {_DOCUMENT})", _MAKE)


def inside_a_store(path: Path) -> StoreError | None:
    """Return the error for a split or another folder inside a store; None for other paths."""
    full = Path(os.path.abspath(path))
    for root in () if has_store_document(path) else full.parents:
        if not has_store_document(root):
            continue
        split = full.relative_to(root).parts[0]
        store = Path(os.path.relpath(root)) if not path.is_absolute() else root
        if split.startswith(PARTIAL_PREFIX):
            return StoreError(
                f"{path} belongs to an unfinished split of the store {store}",
                "finish it with `freqprep convert ... --resume`, and name the store",
            )
        what = "is one split of a store" if root == full.parent else "is a part of a store"
        return StoreError(
            f"{path} {what}", f"name the store, {store}; commands on one split take --split {split}"
        )
    return None


def has_store_document(folder: Path) -> bool:
    """Return whether a folder has the document of a store's root, of any version."""
    try:
        attributes = json.loads((folder / _DOCUMENT).read_bytes())["attributes"]
        return bool(attributes["format"] == FORMAT_NAME and "split" not in attributes)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
