"""Small JPEG files, split into segments and reassembled."""

import io
from typing import Any

import numpy as np
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images.decode import REASONS, decode

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
HEIGHT, WIDTH = 48, 64
"""Height and width of `scene`."""


def scene() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [120 + 90 * np.sin(x / 9 + y / 7), 120 + 80 * np.cos(y / 8 - x / 5), x + y]
    noise = np.random.default_rng(0).normal(0, 10, (HEIGHT, WIDTH, 3))
    return (np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def saved(mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene()).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


FILES = {
    "baseline": saved(),
    "4:4:4": saved(subsampling=0, quality=95),
    "progressive": saved(progressive=True),
    "grey": saved("L"),
    "grey progressive": saved("L", progressive=True),
    "CMYK": saved("CMYK"),
    "restarts": saved(restart_marker_blocks=2),
}


def segment(marker: int, body: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def frame(marker: int, precision: int = 8, components: int = 3) -> bytes:
    """Frame header with the size of the scene, 4:4:4."""
    size = HEIGHT.to_bytes(2, "big") + WIDTH.to_bytes(2, "big")
    planes = b"".join(bytes([c, 0x11, int(c > 1)]) for c in range(1, components + 1))
    return segment(marker, bytes([precision]) + size + bytes([components]) + planes)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Header segments, and the rest of the file from the first scan on."""
    segments, position = [], 2
    while data[position + 1] != 0xDA:
        stop = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segments.append(data[position:stop])
        position = stop
    return segments, data[position:]


def reason(data: bytes) -> str | None:
    try:
        decode(data)
    except ImageDefect as error:
        assert error.reason in REASONS
        return error.reason
    return None
