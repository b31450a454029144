"""Complaints of libtiff, which it would print on stderr, without the file that they are about.

Pillow decodes compressed TIFF files by libtiff. Of some damage libtiff only complains: a wrong code
word of a fax leaves a line of the picture wrong, and Pillow hands it out.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

from PIL import _imaging

from freqprep.engines.process_wide import Held

_PILLOWS_NAME = "tempfile.tif"
_LONGEST = 256
_MOST = 100

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
_heard = threading.local()


@contextlib.contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect what libtiff complains of in this thread, instead of letting it print.

    Yields
    ------
    list of str
        Filled in the block; empty where Pillow has no libtiff of its own to ask.
    """
    said: list[str] = []
    _heard.said = said
    try:
        with _handled:
            yield said
    finally:
        _heard.said = None


def _hear(module: bytes | None, form: bytes | None, values: int | None) -> None:
    said = getattr(_heard, "said", None)
    if said is None or len(said) >= _MOST:
        return
    text = ctypes.create_string_buffer(_LONGEST)
    ctypes.CDLL(None).vsnprintf(text, _LONGEST, form, ctypes.c_void_p(values))
    who, what = (part.decode("ascii", "backslashreplace") for part in (module or b"", text.value))
    said.append(what if who in ("", _PILLOWS_NAME) else f"{who}: {what}")


_hear_in_c = _Handler(_hear)


@contextlib.contextmanager
def _handler_set() -> Iterator[None]:
    try:
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):
        yield
        return
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    before = set_handler(ctypes.cast(_hear_in_c, ctypes.c_void_p))
    try:
        yield
    finally:
        set_handler(before)


_handled = Held(_handler_set)
