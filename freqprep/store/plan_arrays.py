"""Arrays of a saved plan: read once, and large ones kept in files without names."""

from __future__ import annotations

import os
import zipfile
from typing import IO

import numpy as np

from freqprep.storage.scratch import Scratch

_BLOCK = 2**20


def load_arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Read the arrays of an archive that `numpy.savez` wrote; they are read-only.

    Raises
    ------
    OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile
        The archive is damaged.
    DiskFullError
        The folder for temporary files has no room for them.
    """
    with zipfile.ZipFile(file) as archive:
        _refuse_larger(archive, file.seek(0, os.SEEK_END))
        names = archive.namelist()
        return {name.removesuffix(".npy"): _load(archive, name) for name in names}


def _refuse_larger(archive: zipfile.ZipFile, length: int) -> None:
    """Refuse an archive that holds more than its length: packed, or the same bytes many times."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its arrays are compressed, and those of a plan are not")
    if (stated := sum(entry.file_size for entry in entries)) > length:
        raise ValueError(f"its arrays have {stated} bytes, and the file {length}")


def _load(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    content = Scratch()
    with archive.open(name) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError(f"{name} is of another version of NumPy's format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(member)
        while block := member.read(_BLOCK):  # its end has a checksum
            content.write(block)
    if dtype.hasobject:
        raise ValueError(f"{name} has objects")
    flat = np.frombuffer(content.finished(), dtype) if len(content) else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if by_columns else "C")
