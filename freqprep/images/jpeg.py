"""Decoding JPEG files strictly, and without converting their colours.

Pillow loads a JPEG whose scan data is damaged silently: libjpeg warns, fills with grey and
goes on, and Pillow drops the warnings. simplejpeg (libjpeg-turbo) can be told to stop at the
first warning. It gives RGB or grey only; but libjpeg hands the components of a file out as they
are when an Adobe segment says that they are RGB already. So the decoder is given the file with
such a header: one decoding, strict, with the file's own Y, Cb and Cr, to the bit those of
Pillow's ``draft("YCbCr")``.

The new header has only what the picture needs, which takes away noise that is harmless: stray
bytes and odd segments. Up to `TRAILER_NOISE` stray bytes between the last scan's data and the end
marker are accepted, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import simplejpeg

from freqprep.errors import ImageDefect

SIGNATURE = b"\xff\xd8\xff"
"""First bytes of every JPEG file."""

TRAILER_NOISE = 16
"""Largest number of stray bytes accepted between the last scan's data and the end marker."""

MAX_SCANS = 100
"""Largest number of scans in one file; encoders write at most about 20."""

MAX_SCANNED_PIXELS = 2_000_000_000
"""Largest number of scans times pixels in one file: bounds the time of decoding."""

_MAX_MARKERS = 100_000

_SOI, _EOI, _SOS, _DHT, _DAC = 0xD8, 0xD9, 0xDA, 0xC4, 0xCC
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)  # not of restarts, nor stuffing
_FRAMES = {*range(0xC0, 0xD0)} - {_DHT, 0xC8, _DAC}
_DECODABLE_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_SEQUENTIAL_FRAMES = {0xC0, 0xC1, 0xC9}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_PICTURE_SEGMENTS = {*_FRAMES, _DHT, _DAC, 0xDB, 0xDD}  # with quantization and restart interval
_JFIF, _ADOBE = 0xE0, 0xEE
_RGB_COMPONENT_IDS = (ord("R"), ord("G"), ord("B"))


@dataclass(frozen=True)
class Header:
    """Header of a JPEG: all before the first scan.

    Attributes
    ----------
    frame : int
        Marker of the frame: 0xC0 baseline, 0xC2 progressive, 0xC3 lossless, ...
    precision : int
        Bits per sample.
    component_ids : tuple of int
    segments : tuple of (int, bytes)
        Marker and payload of each segment, in order of the file.
    scan : int
        Offset of the first scan's marker.
    """

    frame: int
    precision: int
    component_ids: tuple[int, ...]
    segments: tuple[tuple[int, bytes], ...]
    scan: int


def read_header(data: bytes) -> Header:
    """Read the markers up to the first scan, skipping stray bytes as decoders do.

    Raises
    ------
    ImageDefect
        There is no frame or no scan.
    """
    position = 2
    segments: list[tuple[int, bytes]] = []
    for _ in range(_MAX_MARKERS):
        position = data.find(b"\xff", position)
        if position == -1 or position + 3 >= len(data):
            break
        marker = data[position + 1]
        if marker in (0x00, 0xFF) or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in (_SOS, _EOI):
            break
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        segments.append((marker, data[position + 4 : position + 2 + length]))
        position += 2 + max(length, 2)
    frames = [(marker, body) for marker, body in segments if marker in _FRAMES]
    if not frames or len(frames[0][1]) < 6:
        raise ImageDefect("corrupt", "a JPEG without a frame header")
    if not data.startswith(bytes((0xFF, _SOS)), max(position, 0)):
        raise ImageDefect("corrupt", "a JPEG without scan data")
    marker, body = frames[0]
    return Header(marker, body[0], tuple(body[6::3]), tuple(segments), position)


def check_process(header: Header) -> None:
    """Reject JPEG processes that the decoders cannot take.

    Raises
    ------
    ImageDefect
        ``unsupported``: lossless, hierarchical or not 8-bit.
    """
    if header.frame not in _DECODABLE_FRAMES:
        detail = f"JPEG process 0x{header.frame:02X} (lossless or hierarchical) has no 8x8 DCT"
        raise ImageDefect("unsupported", detail)
    if header.precision != 8:
        raise ImageDefect("unsupported", f"JPEG with {header.precision} bits a sample")


def check_scans(header: Header, data: bytes, pixels: int) -> None:
    """Reject a file whose scans would take too long to decode, or lack a component.

    Raises
    ------
    ImageDefect
        ``too_large``: more than `MAX_SCANS`, or `MAX_SCANNED_PIXELS`. ``corrupt``: a component
        without a scan.
    """
    one_scan = header.frame in _SEQUENTIAL_FRAMES and data[header.scan + 4 : header.scan + 5] == (
        bytes([len(header.component_ids)])
    )
    if one_scan:  # with all components in its first scan a decoder reads no other
        return
    starts = _scans(header, data)
    scans = len(starts)
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageDefect("too_large", f"{scans} scans over {pixels} pixels")
    if missing := set(header.component_ids) - _scanned_components(starts, data):
        raise ImageDefect("corrupt", f"no scan of component {min(missing)}")


def _scans(header: Header, data: bytes) -> list[int]:
    """Find where scans begin, up to the image's end: what is behind it is not the image's."""
    starts = [header.scan]
    position = _behind_segment(data, header.scan)
    while len(starts) <= MAX_SCANS and (marker := _NEXT_MARKER.search(data, position)):
        kind = data[marker.start() + 1]
        if kind == _EOI:
            break
        if kind in _STANDALONE:  # whatever follows is no length that could hide scans
            position = marker.end()
            continue
        if kind == _SOS:
            starts.append(marker.start())
        position = _behind_segment(data, marker.start())
    return starts


def _behind_segment(data: bytes, marker: int) -> int:
    return marker + 2 + max(int.from_bytes(data[marker + 2 : marker + 4], "big"), 2)


def _scanned_components(starts: Iterable[int], data: bytes) -> set[int]:
    """Find the components that some scan holds: libjpeg silently leaves the others grey."""
    found: set[int] = set()
    for position in starts:
        count = data[position + 4] if position + 4 < len(data) else 0
        found.update(data[position + 5 : position + 5 + 2 * count : 2])
    return found


def is_rgb(header: Header) -> bool:
    """Return whether libjpeg takes three components for R, G and B, by its own rules."""
    adobe = None
    for marker, body in header.segments:
        if marker == _JFIF and len(body) >= 14 and body.startswith(b"JFIF\0"):
            return False
        if marker == _ADOBE and len(body) >= 12 and body.startswith(b"Adobe"):
            adobe = body
    if adobe is not None:
        return adobe[11] == 0
    return header.component_ids == _RGB_COMPONENT_IDS


def decode(header: Header, data: bytes) -> np.ndarray | None:
    """Decode the components of a grey or three-component JPEG without conversion.

    Parameters
    ----------
    header : Header
        Header of the same file, accepted by `check_process`: simplejpeg crashes on lossless files.
    data : bytes
        The file.

    Returns
    -------
    ndarray of uint8, shape (h, w, 1) or (h, w, 3), or None
        None for layouts that TurboJPEG does not know: another number of components, or an unusual
        sampling of them.

    Raises
    ------
    ImageDefect
        ``corrupt``, with libjpeg's message.
    """
    colour = {1: "GRAY", 3: "RGB"}.get(len(header.component_ids))
    if colour is None:
        return None
    return _strictly(_picture(header, data, _ADOBE_RGB if colour == "RGB" else b""), colour)


def judge(header: Header, data: bytes) -> None:
    """Reject a file with incomplete scan data, where `decode` does not know the layout.

    It is decoded to grey at 1/8 size, and the result dropped. Parameters and errors as in `decode`.
    """
    adobe = next((body for marker, body in header.segments if marker == _ADOBE), b"")
    segment = _segment(_ADOBE, adobe) if len(adobe) >= 12 else b""
    _strictly(_picture(header, data, segment), "GRAY", min_height=1, min_width=1, min_factor=8)


def _strictly(data: bytes, colour: str, **size: int) -> np.ndarray | None:
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, colour, strict=True, **size)
        return pixels
    except ValueError as error:
        complaint = str(error)
    if "subsampling" in complaint:
        return None
    noise = re.search(r"(\d+) extraneous bytes before marker 0xd9", complaint)
    if noise is None or int(noise[1]) > TRAILER_NOISE:
        raise ImageDefect("corrupt", complaint)
    pixels = simplejpeg.decode_jpeg(data, colour, strict=False, **size)
    return pixels


def _picture(header: Header, data: bytes, adobe: bytes) -> bytes:
    """Reduce a file's header to the segments that the image needs."""
    segments = (_segment(m, body) for m, body in header.segments if m in _PICTURE_SEGMENTS)
    return b"".join((bytes((0xFF, _SOI)), adobe, *segments, data[header.scan :]))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


_ADOBE_RGB = _segment(_ADOBE, b"Adobe" + bytes((0, 100, 0, 0, 0, 0, 0)))
