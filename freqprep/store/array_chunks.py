"""Layout of a small array by its Zarr document, and its chunks decoded, from files in memory.

They have the one form that freqprep writes, so they are decoded here: zarr-python takes half a
second to import, and leaves tracebacks where a process may open no more files.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numcodecs import zstd

from freqprep.errors import CorruptStoreError
from freqprep.storage.ranged_file import REPAIR
from freqprep.storage.strict_json import parse
from freqprep.store.manifest import GROUP_DOCUMENT
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS
from freqprep.store.shard import CHECKSUM_BYTES, checksum
from freqprep.store.zstd_frame import LONGEST_HEADER, content_bytes

_TYPES = {spec.dtype for spec in (*IMAGE_ARRAYS.values(), *OBJECT_ARRAYS.values())}
_MOST_CHUNK_BYTES = 2**27
_CHECKED = "crc32c"
_LITTLE = {"endian": "little"}
_KEYS = [
    {"name": "default"},
    {"name": "default", "configuration": {"separator": "/"}},
]
_CODECS = ["bytes", "zstd"], ["bytes", "zstd", _CHECKED]


class ArrayLayout(NamedTuple):
    """Layout of an array, as its document states it.

    Attributes
    ----------
    shape : tuple of int
    chunk : tuple of int
        Shape of a chunk.
    dtype : dtype
    checked : bool
        Whether a checksum follows each chunk.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype
    checked: bool

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        sides = zip(self.shape, self.chunk, strict=True)
        return tuple(-(-length // side) for length, side in sides)

    @property
    def chunk_bytes(self) -> int:
        """Length of a decoded chunk; those at the end of an array are as long."""
        return math.prod(self.chunk) * self.dtype.itemsize


def document_name(name: str) -> str:
    """Return the path of an array's document relative to its split."""
    return f"{name}/{GROUP_DOCUMENT}"


def array_layout(document: bytes, listed: int, what: str) -> ArrayLayout:
    """Parse the document of a small array, before anything is allocated.

    Parameters
    ----------
    document : bytes
    listed : int
        Number of the array's chunks in the manifest.
    what : str
        The array, for messages.

    Returns
    -------
    ArrayLayout

    Raises
    ------
    CorruptStoreError
        It is not the document of a small array, or the manifest does not list as many chunks.
    """
    try:
        layout = _layout(parse(document))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptStoreError(
            f"{what} has a document that cannot be read: {error}", REPAIR
        ) from None
    needed = math.prod(layout.counts)
    if listed != needed:
        raise CorruptStoreError(f"{what} has {listed} chunks, and {needed} are needed", REPAIR)
    return layout


def _layout(document: dict[str, Any]) -> ArrayLayout:
    if document["zarr_format"] != 3 or document["node_type"] != "array":
        raise ValueError("it is not that of an array of Zarr 3")
    if document.get("storage_transformers") or document["chunk_key_encoding"] not in _KEYS:
        raise ValueError("its chunks have other names")
    grid = document["chunk_grid"]["configuration"]["chunk_shape"]
    shape, chunk = (tuple(map(operator.index, sizes)) for sizes in (document["shape"], grid))
    if (kind := document["data_type"]) not in _TYPES:
        raise ValueError(f"values of type {kind!r:.60}")
    dtype = np.dtype(kind)
    if len(shape) != len(chunk) or min(chunk) < 1 or min(shape) < 0:
        raise ValueError(f"chunks of {chunk} in an array of {shape}")
    if math.prod(chunk) * dtype.itemsize > _MOST_CHUNK_BYTES:
        raise ValueError(f"chunks of {chunk}")
    if (codecs := [codec["name"] for codec in document["codecs"]]) not in _CODECS:
        raise ValueError(f"codecs {codecs!r:.60}")
    if document["codecs"][0].get("configuration", _LITTLE) not in (_LITTLE, {}):
        raise ValueError("values that are not little-endian")
    return ArrayLayout(shape, chunk, dtype.newbyteorder("<"), codecs[-1] == _CHECKED)


def chunk_name(index: Sequence[int]) -> str:
    """Return the path of a chunk relative to its array's folder."""
    return "/".join(["c", *map(str, index)])


def decoded(
    files: Mapping[str, bytes], chunks: range, layout: ArrayLayout, what: str
) -> np.ndarray:
    """Decode the rows of an array that some chunks along the first axis hold.

    Parameters
    ----------
    files : mapping of str to bytes
        Content of the chunks by `chunk_name`; others are not looked at.
    chunks : range
        Indices along the first axis, in order.
    layout : ArrayLayout
        A chunk that would decode to another length is not decoded.
    what : str
        The array, for messages.

    Returns
    -------
    ndarray

    Raises
    ------
    CorruptStoreError
        The files are not those of such an array.
    """
    others = list(np.ndindex(*layout.counts[1:]))
    wanted = [(first, *other) for first in chunks for other in others]
    for name in map(chunk_name, wanted):  # before memory is taken for any of them
        if name not in files:
            raise CorruptStoreError(f"{what} lacks {name} in the manifest", REPAIR)
        if content_bytes(files[name][:LONGEST_HEADER]) != layout.chunk_bytes:
            raise CorruptStoreError(
                f"{what} has a chunk {name} that is not of {layout.chunk_bytes} bytes", REPAIR
            )
    begin = chunks.start * layout.chunk[0]
    rows = max(min(chunks.stop * layout.chunk[0], layout.shape[0]) - begin, 0)
    out = np.empty((rows, *layout.shape[1:]), layout.dtype)
    for index in wanted:
        name = chunk_name(index)
        try:
            chunk = _decode_chunk(files[name], layout)
        except (ValueError, RuntimeError) as error:
            raise CorruptStoreError(
                f"{what} has a chunk {name} that cannot be read: {error}", REPAIR
            ) from None
        corner = [i * side for i, side in zip(index, layout.chunk, strict=True)]
        corner[0] -= begin
        room = out[tuple(slice(c, c + side) for c, side in zip(corner, layout.chunk, strict=True))]
        room[:] = chunk[tuple(map(slice, room.shape))]
    return out


def _decode_chunk(data: bytes, layout: ArrayLayout) -> np.ndarray:
    if layout.checked:
        data, stated = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        if checksum(data) != stated:
            raise ValueError("its checksum is another one")
    return np.frombuffer(zstd.decompress(data), layout.dtype).reshape(layout.chunk)
