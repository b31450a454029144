"""Checks that Pillow does not make of PNG files: whether the image data and its colours are whole.

Pillow silently leaves the rest of the image black where the compressed data is a whole
zlib stream but holds too few rows, and takes colours and transparency from chunks that other
decoders leave out because they are malformed. Layout of the data: W3C PNG specification, sections
7 and 8; of the chunks: sections 5.6, 11.2 and 11.3.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from freqprep.errors import ImageDefect

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples a pixel
_PALETTE = 3  # colour type
_TRANSPARENT = {0: 2, 2: 6}  # colour type -> bytes of tRNS
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = (*_ADAM7, (0, 1, 1, 2))  # first column and row, step of columns and rows
_PIECE = 2**20


def check_whole(data: bytes) -> None:
    """Reject a PNG file that lacks image data, or whose palette or transparency is malformed.

    Parameters
    ----------
    data : bytes
        A file that Pillow has loaded.

    Raises
    ------
    ImageDefect
        ``corrupt``.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    _check_colours(data, colour, depth)
    bits = depth * _SAMPLES.get(colour, 1)
    expected = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = (width - left + across - 1) // across, (height - top + down - 1) // down
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    found = _data_length(data, expected)
    if found < expected:
        raise ImageDefect("corrupt", f"image data of {found} bytes, of {expected} expected")


def _check_colours(data: bytes, colour: int, depth: int) -> None:
    """Refuse a palette or transparency that is not the header's, there twice or behind the data."""
    lengths: dict[bytes, int] = {}
    for kind, _, length in _chunks(data):
        if kind not in (b"IHDR", b"PLTE", b"tRNS"):
            lengths.setdefault(kind, length)
        elif kind in lengths or b"IDAT" in lengths:
            raise ImageDefect("corrupt", f"a chunk {kind.decode()} twice, or behind image data")
        elif kind == b"tRNS" and colour == _PALETTE and length > lengths.get(b"PLTE", 0) // 3:
            found = lengths.get(b"PLTE", 0) // 3
            raise ImageDefect("corrupt", f"transparency of {length} of {found} colours")
        elif kind == b"tRNS" and colour != _PALETTE and length != _TRANSPARENT.get(colour):
            raise ImageDefect("corrupt", f"transparency of {length} bytes, colour type {colour}")
        else:
            lengths[kind] = length
    if colour == _PALETTE:
        palette = lengths.get(b"PLTE", 0)
        if palette % 3 or not 0 < palette <= 3 << depth:
            raise ImageDefect("corrupt", f"a palette of {palette} bytes, depth {depth}")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind of each chunk, where its data begin, and their length."""
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8, length
        position += 12 + length


def _data_length(data: bytes, enough: int) -> int:
    """Count the bytes that the image data decompresses to, no further than ``enough``."""
    stream = zlib.decompressobj()
    found = 0
    for kind, begin, length in _chunks(data):
        piece = data[begin : begin + length] if kind == b"IDAT" else b""
        while piece and found < enough and not stream.eof:
            found += len(stream.decompress(piece, _PIECE))
            piece = stream.unconsumed_tail
        if found >= enough:
            break
    return found
