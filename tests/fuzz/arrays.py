"""Mutants of arrays of NumPy: their headers, their shapes and types, their values."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
from fuzz.mutation import mutant

_EDGES = (0, 1, -1, -2, 2, 7, 1000, 2**31, 2**53, 2**62, -(2**62))
_TYPES = ("int8", "<u8", ">i8", "float64", "complex128", "bool", "U3", "S0", "V0", "M8[s]", "O")


def npy(data: bytes, chance: random.Random) -> bytes:
    """Change a file of one array: what its header states, or what it holds."""
    kind = chance.random()
    if kind < 0.2:
        return mutant(data, chance)
    try:
        array = np.load(io.BytesIO(data))
    except Exception:  # it was changed before
        return mutant(data, chance)
    if kind < 0.45:
        return _header(array, chance) + array.tobytes()
    out = io.BytesIO()
    np.save(out, _changed(array, chance), allow_pickle=False)
    return out.getvalue()


def _header(array: np.ndarray, chance: random.Random) -> bytes:
    """A header that may state another type or shape than the bytes behind it have."""
    shape: tuple[Any, ...] = array.shape
    for _ in range(chance.choice((1, 1, 2))):
        if chance.random() < 0.5 or not shape:
            shape = (*shape, chance.choice(_EDGES))
        else:
            at = chance.randrange(len(shape))
            shape = (*shape[:at], chance.choice((*_EDGES, True, 1.0)), *shape[at + 1 :])
    descr: Any = array.dtype.str if chance.random() < 0.5 else chance.choice(_TYPES)
    if chance.random() < 0.1:
        descr = [("a", array.dtype.str), ("b", chance.choice(_TYPES))]
    stated = {"descr": descr, "fortran_order": chance.random() < 0.2, "shape": shape}
    text = repr(stated).encode()
    version = b"\x01" if chance.random() < 0.9 else chance.choice((b"\x00", b"\x02", b"\x03"))
    return b"\x93NUMPY" + version + b"\x00" + len(text).to_bytes(2, "little") + text


def _changed(array: np.ndarray, chance: random.Random) -> np.ndarray:
    """Another array: some values at their edges, longer, shorter, or of another type or shape."""
    kind = chance.random()
    if kind < 0.6 and array.size and array.dtype.kind in "iu":
        array = array.copy()
        limits = np.iinfo(array.dtype)
        for _ in range(chance.choice((1, 1, 3))):
            value = chance.choice((*_EDGES, int(limits.min), int(limits.max)))
            array.flat[chance.randrange(array.size)] = min(max(value, limits.min), limits.max)
        return array
    if kind < 0.7:
        return array[: chance.randrange(len(array) + 1)] if array.ndim else array
    if kind < 0.8:
        return np.concatenate([array, array]) if array.ndim else array[None]
    if kind < 0.9:
        with np.errstate(all="ignore"):
            return array.astype(chance.choice(("int32", "float64", "bool", "U3", "uint8", ">i8")))
    return chance.choice((array[None], array.ravel(), array[..., None], array[::-1]))
