"""Kinds of JSON files in a data set, found without parsing them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from freqprep.errors import SourceError

OBJECTS, KEYPOINTS, DAMAGED = "objects", "keypoints", "damaged"
READABLE = (OBJECTS, KEYPOINTS, DAMAGED)
"""Kinds of files that have boxes, or may have had them: reading one reports what is wrong."""

_BLOCK = 2**20
_OVERLAP = 64
_FIRST_ANNOTATIONS = 2**16

_ARRAY = re.compile(rb'"(images|annotations)"\s{0,20}:\s{0,20}\[')
_KEY = re.compile(rb'"(segments_info|caption|bbox|segmentation)"\s*:')
_KEYPOINTS = re.compile(rb'"keypoints"\s*:\s*\[\s*[-0-9]')


class _Scan(NamedTuple):
    first: bytes
    last: bytes
    images: bool
    annotations: bytes | None


def kind_of(open_file: Callable[[], BinaryIO]) -> str:
    """Return the kind of a JSON file: one of `READABLE`, or a description of something else.

    Only the first and last bytes, the keys of arrays and the start of the annotations are checked:
    half a gigabyte takes a fraction of a second on a disk.

    Parameters
    ----------
    open_file : callable
        Opens the file.

    Returns
    -------
    str
    """
    try:
        with open_file() as file:
            scan = _scan(file)
    except (SourceError, OSError):
        return DAMAGED
    entries = scan.annotations
    closed = (scan.first, scan.last) in ((b"{", b"}"), (b"[", b"]"))
    if entries is None:
        if not closed:
            return DAMAGED
        if scan.images:
            return "images without annotations"
        return "a list, not a data set" if scan.first == b"[" else "not COCO annotations"
    keys = set(_KEY.findall(entries))
    if b"segments_info" in keys:
        return "panoptic segments"
    if _KEYPOINTS.search(entries):
        return KEYPOINTS
    if b"caption" in keys and not keys & {b"bbox", b"segmentation"}:
        return "captions"
    return OBJECTS if scan.images or not closed else "not COCO annotations"


def _scan(file: BinaryIO) -> _Scan:
    first, last, carried = b"", b"", b""
    images, begins = False, -1
    start = 0
    while block := file.read(_BLOCK):
        text = carried + block
        first = first or text.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        last = block.rstrip()[-1:] or last
        for match in _ARRAY.finditer(text):
            if match[1] == b"images":
                images = True
            elif begins < 0:
                begins = start - len(carried) + match.end()
        start += len(block)
        carried = text[-_OVERLAP:]
    if begins < 0:
        return _Scan(first, last, images, None)
    file.seek(begins)
    return _Scan(first, last, images, file.read(_FIRST_ANNOTATIONS))
