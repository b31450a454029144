"""Names inside a store's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from freqprep.errors import UsageError
from freqprep.store.schema import COEFFICIENTS, FORMAT_NAME, FORMAT_VERSION

PARTIAL_PREFIX = ".partial-"
"""An unfinished split is the folder of this prefix and its name."""

REPLACED_PREFIX = ".replaced-"
"""A split just overwritten, for the moment until it is removed."""


RUN_CARD = "model.json"
"""The card in a training run's folder, by which a run is told from a store."""


def shard_path(split_folder: Path, shard: int) -> Path:
    """Where a shard's file is."""
    return split_folder / COEFFICIENTS / "c" / str(shard) / "0" / "0" / "0"


def beside(store: Path, suffix: str) -> Path:
    """A path beside a store, named after it: locks, logs and lists are no part of the store."""
    full = Path(os.path.abspath(store))
    if not full.name:
        raise UsageError(f"{store} cannot be a store", "name a folder to be made")
    return full.with_name(full.name + suffix)


def root_document() -> bytes:
    """The bytes of the root's ``zarr.json``; the same for every store of this format."""
    attributes = {"format": FORMAT_NAME, "format_version": FORMAT_VERSION}
    root = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    return (json.dumps(root, indent=1) + "\n").encode()
