"""PNG files that hold less than their header says are refused; whole ones are not."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images import png
from freqprep.images.decode import decode

PICTURE = np.random.default_rng(0).integers(0, 256, (13, 21, 3), np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def written(lines: bytes, interlaced: bool = False, pieces: int = 1) -> bytes:
    """An RGB file of the picture's size with this image data."""
    header = struct.pack(">IIBBBBB", 21, 13, 8, 2, 0, 0, interlaced)
    packed = zlib.compress(lines)
    cut = -(-len(packed) // pieces)
    data = b"".join(chunk(b"IDAT", packed[i : i + cut]) for i in range(0, len(packed), cut))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def plain(rows: int) -> bytes:
    return b"".join(b"\0" + PICTURE[row].tobytes() for row in range(rows))


def adam7() -> bytes:
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    passes = (PICTURE[y::dy, x::dx] for x, y, dx, dy in [*starts, (0, 1, 1, 2)])
    return b"".join(b"\0" + row.tobytes() for part in passes for row in part if row.size)


@pytest.mark.parametrize("pieces", [1, 3, 50])
@pytest.mark.parametrize("interlaced", [False, True])
def test_whole_files_pass(interlaced, pieces):
    data = written(adam7() if interlaced else plain(13), interlaced, pieces)
    assert decode(data).size == (13, 21)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), PICTURE)


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_missing_rows_are_refused(rows):
    with pytest.raises(ImageDefect) as error:
        decode(written(plain(rows)))
    assert error.value.reason == "corrupt"


def test_a_short_last_pass_is_refused():
    with pytest.raises(ImageDefect, match="corrupt"):
        decode(written(adam7()[:-64], interlaced=True))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 3), (33, 17)])
def test_what_pillow_writes_passes(mode, size):
    image = Image.new("L", size, 200)
    image = Image.new(mode, size) if mode == "I;16" else image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    png.check_whole(buffer.getvalue())


COLOURS, IMAGE = b"\x10\x20\x30" * 4, b"\0\1\0\2\0\3"
"""A palette of four, and the bytes of a picture of one column and three rows."""


def coloured(colour: int, *before: tuple[bytes, bytes], behind: tuple[bytes, bytes] | None = None):
    """A file with chunks before its image data, and one behind them."""
    header = struct.pack(">IIBBBBB", 1, 3, 8, colour, 0, 0, 0)
    lines = IMAGE if colour in (0, 3) else b"".join(b"\0" + bytes(3) for _ in range(3))
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(lines))]
    chunks += [behind] if behind else []
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in [*chunks, (b"IEND", b"")])


PALETTE = (b"PLTE", COLOURS)


@pytest.mark.parametrize(
    "data",
    [
        coloured(3, PALETTE, (b"tRNS", b"\0\1")),
        coloured(3, PALETTE, (b"tRNS", b"\0\1\2\3")),
        coloured(0, (b"tRNS", b"\0\1")),
        coloured(2, (b"tRNS", b"\0\1\0\1\0\1")),
        coloured(2, PALETTE),
    ],
)
def test_colours_that_are_whole_pass(data):
    assert decode(data).size == (3, 1)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (coloured(3, PALETTE, (b"tRNS", bytes(5))), "transparency of 5 of 4 colours"),
        (coloured(3, (b"tRNS", bytes(2)), PALETTE), "transparency of 2 of 0 colours"),
        (coloured(0, (b"tRNS", bytes(6))), "transparency of 6 bytes"),
        (coloured(2, (b"tRNS", bytes(7))), "transparency of 7 bytes"),
        (coloured(3, PALETTE, PALETTE), "PLTE twice"),
        (coloured(3, PALETTE, behind=(b"tRNS", bytes(2))), "tRNS twice, or behind"),
        (coloured(3, (b"PLTE", COLOURS[:-1])), "a palette of 11 bytes"),
        (coloured(3, (b"PLTE", COLOURS * 65)), "a palette of 780 bytes"),
        (coloured(3), "a palette of 0 bytes"),
    ],
)
def test_colours_that_other_decoders_leave_out_are_refused(data, what):
    with pytest.raises(ImageDefect, match=what) as error:
        png.check_whole(data)
    assert error.value.reason == "corrupt"
    with pytest.raises(ImageDefect):
        decode(data)
