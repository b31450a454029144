"""Names and paths inside a store's folder and beside it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TypeVar

from freqprep.errors import UsageError
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, folder_names
from freqprep.store.schema import COEFFICIENTS, FORMAT_NAME, ROOT_VERSION

PARTIAL_PREFIX = ".partial-"
"""Prefix of an unfinished split's folder; its name follows."""

REPLACED_PREFIX = ".replaced-"
"""Prefix of a split that was just overwritten, until it is removed."""

REPAIR_PREFIX = ".repair-"
"""Prefix of the folder in which files of a split are made again, while it is repaired."""

_MOST_DIGITS = 18

PathT = TypeVar("PathT", Path, ObjectPath, AnyPath)

MODEL_FILE = "model.json"
"""The config in a training run's folder, by which a run is told from a store."""


def shard_name(shard: int) -> str:
    """Return the path of a shard's file relative to its split, with forward slashes."""
    return f"{COEFFICIENTS}/c/{shard}/0/0/0"


_SHARD = re.compile(rf"{COEFFICIENTS}/c/(0|[1-9][0-9]*)/0/0/0")


def shard_number(name: str) -> int | None:
    """Return the shard whose file has a path relative to its split; None if none has."""
    found = _SHARD.fullmatch(name)
    return int(found[1]) if found and len(found[1]) < _MOST_DIGITS else None


def shard_path(split_folder: PathT, shard: int) -> PathT:
    """Return the path of a shard's file."""
    return split_folder / shard_name(shard)


def partial_folders(store: AnyPath) -> dict[str, AnyPath]:
    """Return the folders of the unfinished splits of a store, by name of the split, sorted."""
    try:
        names = folder_names(store)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    partial = [name for name in names if name.startswith(PARTIAL_PREFIX)]
    return {name.removeprefix(PARTIAL_PREFIX): store / name for name in partial}


def beside(store: PathT, suffix: str) -> PathT:
    """Return a path beside a store, named after it: for locks, logs and lists."""
    full = Path(os.path.abspath(store)) if isinstance(store, Path) else store
    if not full.name:
        raise UsageError(f"{store} cannot be a store", "name a new folder")
    return full.with_name(full.name + suffix)


def root_document() -> bytes:
    """Return the bytes of the root's ``zarr.json``, the same for all stores of major version 1."""
    attributes = {"format": FORMAT_NAME, "format_version": ROOT_VERSION}
    root = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    return (json.dumps(root, indent=1) + "\n").encode()
