"""A strict judge for JPEG files.

Pillow loads a JPEG whose scan data is damaged without a word: libjpeg warns, fills with grey and
goes on, and Pillow drops the warnings. Here the file is decoded once more at 1/8 size by
simplejpeg (libjpeg-turbo), which can be told to stop at the first warning. About 0.8 ms an image.

Noise around the picture is harmless and accepted: stray bytes or odd segments in the header, and
up to `TRAILER_NOISE` stray bytes between the last scan's data and the end marker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import simplejpeg

from freqprep.errors import ImageDefect

SIGNATURE = b"\xff\xd8\xff"
"""First bytes of every JPEG file."""

TRAILER_NOISE = 16
"""Bytes tolerated between the last scan's data and the end marker."""

MAX_SCANS = 100
"""Scans in one file; encoders write at most about 20."""

MAX_SCANNED_PIXELS = 2_000_000_000
"""Scans times pixels in one file: bounds the time that decoding can take."""

_MAX_MARKERS = 100_000

_SOI, _EOI, _SOS, _DHT, _DAC = 0xD8, 0xD9, 0xDA, 0xC4, 0xCC
_FRAMES = {*range(0xC0, 0xD0)} - {_DHT, 0xC8, _DAC}
_DECODABLE_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_SEQUENTIAL_FRAMES = {0xC0, 0xC1, 0xC9}
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_PICTURE_SEGMENTS = {*_FRAMES, _DHT, _DAC, 0xDB, 0xDD}  # with quantization and restart interval
_ADOBE = 0xEE


@dataclass(frozen=True)
class Header:
    """What stands before the first scan.

    Attributes
    ----------
    frame : int
        Marker of the frame: 0xC0 baseline, 0xC2 progressive, 0xC3 lossless, ...
    precision : int
        Bits a sample.
    component_ids : tuple of int
    segments : tuple of (int, bytes)
        Marker and payload of each segment, in order.
    scan : int
        Position of the first scan's marker.
    """

    frame: int
    precision: int
    component_ids: tuple[int, ...]
    segments: tuple[tuple[int, bytes], ...]
    scan: int


def read_header(data: bytes) -> Header:
    """Walk the markers up to the first scan, passing over stray bytes as decoders do.

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
    """Refuse the processes that no decoder here may be given.

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
    """Refuse a file whose scans would take too long to decode.

    Raises
    ------
    ImageDefect
        ``too_large``: more than `MAX_SCANS`, or `MAX_SCANNED_PIXELS`.
    """
    one_scan = header.frame in _SEQUENTIAL_FRAMES and data[header.scan + 4 : header.scan + 5] == (
        bytes([len(header.component_ids)])
    )
    if one_scan:  # with all components in its first scan a decoder reads no other
        return
    scans = data.count(bytes((0xFF, _SOS)), header.scan)
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageDefect("too_large", f"{scans} scans over {pixels} pixels")


def judge(header: Header, data: bytes) -> None:
    """Refuse a JPEG whose scan data is not whole.

    Parameters
    ----------
    header : Header
        Of the same file, and passed by `check_process`: simplejpeg crashes on lossless files.
    data : bytes
        The file.

    Raises
    ------
    ImageDefect
        ``corrupt``, with libjpeg's own words.
    """
    if (complaint := _complaint(data)) is None:
        return
    # The first complaint hides those that follow: take the header's noise away and look again.
    if (complaint := _complaint(_without_noise(header, data))) is not None:
        raise ImageDefect("corrupt", complaint)


def _complaint(data: bytes) -> str | None:
    try:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        text = str(error)
        noise = re.search(r"(\d+) extraneous bytes before marker 0xd9", text)
        if noise and int(noise[1]) <= TRAILER_NOISE:
            return None
        if "subsampling" in text:  # a layout that TurboJPEG has no name for, so it cannot judge
            return None
        return text
    return None


def _without_noise(header: Header, data: bytes) -> bytes:
    segments = b"".join(
        bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body
        for marker, body in header.segments
        if marker in _PICTURE_SEGMENTS or (marker == _ADOBE and len(body) >= 12)
    )
    return bytes((0xFF, _SOI)) + segments + data[header.scan :]
