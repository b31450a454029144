"""Rows of bytes that are there twice, found without having all of them in memory."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from freqprep.ragged import Ragged
from freqprep.storage.disk import full_disk_named
from freqprep.storage.temporary import temporary_folder

_IN_MEMORY = 2**22
_FILES = 256
_MEETING = 2**20
_LONGEST = 512
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)


def first_repeated(blocks: Callable[[], Iterable[Ragged]], count: int) -> bytes | None:
    """Return a row that is there twice.

    Rows have hashes of 64 bits. Beyond 2^22 rows the hashes are spread over files by their first
    byte, and one file after the other is sorted. Rows whose hashes meet are compared.

    Parameters
    ----------
    blocks : callable
        Returns all rows, some at a time; it is called again where hashes meet.
    count : int
        Number of rows.

    Returns
    -------
    bytes or None
        The first one that repeats another before it, of many rows any one; None if there is none.

    Raises
    ------
    DiskFullError
        The folder for temporary files has no room for 8 bytes a row.
    """
    # Nobody can make rows that meet on purpose.
    factor = np.uint64(secrets.randbits(63) << 1 | 2**63 | 1)
    for meeting in _meeting((_hashes(block, factor) for block in blocks()), count):
        for first in range(0, len(meeting), _MEETING):
            wanted, seen = meeting[first : first + _MEETING], set()
            for block in blocks():
                for row in _places(_hashes(block, factor), wanted):
                    content = block.bytes_at(row)
                    if content in seen:
                        return content
                    seen.add(content)
    return None


def _places(hashes: np.ndarray, wanted: np.ndarray) -> list[int]:
    # By sorting: the other way numpy 2.0 fails for numbers of 64 bits.
    found: list[int] = np.flatnonzero(np.isin(hashes, wanted, kind="sort")).tolist()
    return found


def _meeting(hashes: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Yield hashes that are there twice, some at a time."""
    if count <= _IN_MEMORY:
        yield _repeated(np.concatenate([np.empty(0, np.uint64), *hashes]))
        return
    folder = Path(tempfile.gettempdir())
    with full_disk_named(folder), temporary_folder() as name:
        for part in hashes:
            part = np.sort(part)
            first_bytes = part >> np.uint64(56)
            edges = np.searchsorted(first_bytes, np.arange(_FILES + 1, dtype=np.uint64))
            for number in np.flatnonzero(np.diff(edges)).tolist():
                with open(f"{name}/{number}", "ab") as file:
                    file.write(part[edges[number] : edges[number + 1]].data)
        for path in sorted(name.iterdir()):
            yield _repeated(np.fromfile(path, np.uint64))


def _repeated(hashes: np.ndarray) -> np.ndarray:
    hashes.sort()
    repeated: np.ndarray = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    return repeated


def _hashes(rows: Ragged, factor: np.uint64) -> np.ndarray:
    """Hash rows, eight bytes of each at a time."""
    starts, lengths = rows.offsets[:-1], np.diff(rows.offsets)
    padded = np.concatenate([rows.values, np.zeros(8, np.uint8)])
    # The eight bytes from each position on.
    words = np.ndarray(len(rows.values) + 1, "<u8", padded, strides=(1,))
    hashes = lengths.astype(np.uint64) * factor
    for begin in range(0, min(int(lengths.max(initial=0)), _LONGEST), 8):
        having = np.flatnonzero(lengths > begin)
        word = words[starts[having] + begin] & _MASKS[np.minimum(lengths[having] - begin, 8)]
        mixed = (hashes[having] ^ word) * factor
        hashes[having] = mixed ^ (mixed >> np.uint64(29))
    for row in np.flatnonzero(lengths > _LONGEST).tolist():
        digest = hashlib.blake2b(rows[row].data, digest_size=8).digest()
        hashes[row] = int.from_bytes(digest, "little")
    return hashes * factor
