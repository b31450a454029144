"""A check that Pillow does not make of PNG files: whether the image data is complete.

Pillow silently leaves the rest of the image black where the compressed data is a whole
zlib stream but holds too few rows. Layout of the data: W3C PNG specification, sections 7 and 8.
"""

from __future__ import annotations

import struct
import zlib

from freqprep.errors import ImageDefect

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples a pixel
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = (*_ADAM7, (0, 1, 1, 2))  # first column and row, step of columns and rows
_PIECE = 2**20


def check_whole(data: bytes) -> None:
    """Reject a PNG file whose image data is shorter than its header says.

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
    bits = depth * _SAMPLES.get(colour, 1)
    expected = 0
    for left, top, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = (width - left + across - 1) // across, (height - top + down - 1) // down
        if columns > 0 and rows > 0:
            expected += rows * (1 + (columns * bits + 7) // 8)
    found = _data_length(data, expected)
    if found < expected:
        raise ImageDefect("corrupt", f"image data of {found} bytes, of {expected} expected")


def _data_length(data: bytes, enough: int) -> int:
    """Count the bytes that the image data decompresses to, no further than ``enough``."""
    stream = zlib.decompressobj()
    found, position = 0, 8
    while position + 8 <= len(data) and found < enough:
        length, kind = struct.unpack_from(">I4s", data, position)
        piece = data[position + 8 : position + 8 + length] if kind == b"IDAT" else b""
        while piece and found < enough and not stream.eof:
            found += len(stream.decompress(piece, _PIECE))
            piece = stream.unconsumed_tail
        position += 12 + length
    return found
