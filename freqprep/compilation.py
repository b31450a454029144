"""Compiled inner loops: Numba, where it is installed.

Numba is a wheel with its own compiler, so nothing is compiled when freqprep is installed. A
function is compiled when it is first called, and kept on disk for later processes. Whatever is
compiled has a form in NumPy or torch beside it, which is used where Numba is missing or turned off.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])

# Sums in any order and fused products; no approximate division or functions.
_FREEDOM = {"reassoc", "contract", "nsz", "nnan", "ninf"}


@functools.cache
def can_compile() -> bool:
    """Whether functions can be compiled: Numba is installed, and NUMBA_DISABLE_JIT is not set.

    Loads Numba, which takes a third of a second.
    """
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        import numba
    except ImportError:  # too old for the installed NumPy
        return False
    config: Any = numba.config
    return not config.DISABLE_JIT


def compiled(function: Function) -> Function:
    """Compile a function of numbers and arrays when it is first called; sums in any order.

    The machine code is kept beside the source, or in the user's cache folder (or where
    NUMBA_CACHE_DIR says), where processes find what one of them compiled; if none of these
    can be written, each process compiles for itself. Python's lock is released while it runs. A
    loop may have two forms, of vectors and of single numbers, that round differently, and where
    its arrays lie in memory may decide between them: see `compiled_exactly`.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """
    return _compiled(function, _FREEDOM)


def compiled_exactly(function: Function) -> Function:
    """Compile as `compiled` does, but with each operation rounded by itself, as it is written.

    The result is then the same to the bit in whatever form a loop runs.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """
    return _compiled(function, set())


def _compiled(function: Function, freedom: set[str]) -> Function:
    import numba

    make: Any = functools.partial(numba.njit, nogil=True, fastmath=freedom, error_model="numpy")
    try:
        found: Function = make(cache=True)(function)
    except RuntimeError:  # no folder for the cache
        found = make()(function)
    return found


def was_compiled(function: Callable[..., object]) -> bool:
    """Return whether a compiled function was not on disk, so that it is or was compiled now."""
    return bool(function.stats.cache_misses)  # type: ignore[attr-defined]
