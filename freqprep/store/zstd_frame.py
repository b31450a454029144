"""Header of a zstd frame (RFC 8878, 3.1.1.1): what it will take, before anything is allocated."""

from __future__ import annotations

MAGIC = b"\x28\xb5\x2f\xfd"
"""First bytes of a frame."""

LONGEST_HEADER = 18
"""Bytes of a header, at most."""


def content_bytes(header: bytes) -> int:
    """Return the length that a frame states for its content; -1 if it does not, or is no frame.

    Parameters
    ----------
    header : bytes
        The first `LONGEST_HEADER` bytes of the frame, or all that there are.

    Returns
    -------
    int
    """
    if header[:4] != MAGIC or len(header) < 5:
        return -1
    descriptor = header[4]
    one_segment = descriptor >> 5 & 1
    width = (one_segment, 2, 4, 8)[descriptor >> 6]
    start = 5 + (not one_segment) + (0, 1, 2, 4)[descriptor & 3]
    if width == 0 or len(header) < start + width:
        return -1
    return int.from_bytes(header[start : start + width], "little") + 256 * (width == 2)
