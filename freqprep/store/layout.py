"""Names inside a store's folder."""

from __future__ import annotations

import json
from pathlib import Path

from freqprep.store.schema import COEFFICIENTS, FORMAT_NAME, FORMAT_VERSION

PARTIAL_PREFIX = ".partial-"
"""An unfinished split is the folder of this prefix and its name."""

REPLACED_PREFIX = ".replaced-"
"""A split just overwritten, for the moment until it is removed."""


def shard_path(split_folder: Path, shard: int) -> Path:
    """Where a shard's file is."""
    return split_folder / COEFFICIENTS / "c" / str(shard) / "0" / "0" / "0"


def root_document() -> bytes:
    """The bytes of the root's ``zarr.json``; the same for every store of this format."""
    attributes = {"format": FORMAT_NAME, "format_version": FORMAT_VERSION}
    root = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    return (json.dumps(root, indent=1) + "\n").encode()
