"""Arrays of a split as files: all of the small ones, and the document of the coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.store.schema import (
    COEFFICIENTS,
    DEFAULT_LEVEL,
    ArraySpec,
    SplitAttributes,
    chunk_shape,
    shard_shape,
)

_SMALL_CHUNK_ROWS = 2**20


def write_arrays(
    folder: Path,
    attributes: SplitAttributes,
    arrays: Mapping[str, np.ndarray],
    specs: Mapping[str, ArraySpec],
) -> None:
    """Write the arrays of a split into its folder, without the coefficients' shards.

    Parameters
    ----------
    folder : Path
        Local folder.
    attributes : SplitAttributes
    arrays : mapping of str to ndarray
    specs : mapping of str to ArraySpec
        Type and dimensions of each array.
    """
    encoding = attributes.encoding
    shards = shard_shape(encoding.geometry, len(attributes.channels))
    _create_array(
        folder,
        COEFFICIENTS,
        attributes.level,
        shape=(attributes.images, *shards[1:]),
        shards=shards,
        chunks=chunk_shape(encoding.geometry),
        dtype=encoding.dtype,
        dimension_names=("image", "channel", "row", "column"),
    )
    for name, spec in specs.items():
        data = np.ascontiguousarray(arrays[name], dtype=spec.dtype)
        rows = max(1, min(len(data), _SMALL_CHUNK_ROWS))
        array = _create_array(
            folder,
            name,
            DEFAULT_LEVEL,
            shape=data.shape,
            chunks=(rows, *data.shape[1:]),
            dtype=data.dtype,
            dimension_names=spec.dimensions,
        )
        array[...] = data


def _create_array(folder: Path, name: str, level: int, **layout: Any) -> Any:
    """Create an array of a split with the codecs and fill value of the format."""
    import zarr  # the slowest import of all; only the end of a conversion needs it
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.storage import LocalStore

    return zarr.create_array(
        LocalStore(folder),
        name=name,
        fill_value=0,
        compressors=[ZstdCodec(level=level), Crc32cCodec()],
        config={"write_empty_chunks": True},
        **layout,
    )
