"""Standard output that names itself when it cannot be written: a full disk, or a closed one."""

from __future__ import annotations

import io
import os
import sys

NAME = "stdout"
"""Name of the stream in errors, where the system has none."""

_STDOUT, _STDERR = 1, 2


class _Named(io.FileIO):
    """Descriptor whose errors say which stream it is."""

    def write(self, data: object, /) -> int:
        """Write bytes; an error has the stream's name as that of its file."""
        try:
            return super().write(data)  # type: ignore[arg-type]  # any buffer
        except OSError as error:
            raise OSError(error.errno, error.strerror, NAME) from None


def name_stdout() -> None:
    """Let errors of writing to stdout name it; open what was closed, so that no file takes it.

    A file that a command opens would get the number of a closed stream, and with it all that
    libraries print.
    """
    if sys.stderr is None:
        _occupy(_STDERR, os.O_WRONLY)
        sys.stderr = open(_STDERR, "w", closefd=False)  # noqa: SIM115 - for as long as we run
    encoding, line_buffering = "utf-8", False
    if sys.stdout is None:
        _occupy(_STDOUT, os.O_RDONLY)  # each write is refused
    elif isinstance(sys.stdout, io.TextIOWrapper) and _is_descriptor(sys.stdout):
        sys.stdout.flush()
        encoding, line_buffering = sys.stdout.encoding, sys.stdout.line_buffering
    else:
        return
    buffered = io.BufferedWriter(_Named(_STDOUT, "wb", closefd=False))
    sys.stdout = io.TextIOWrapper(
        buffered, encoding, "backslashreplace", line_buffering=line_buffering
    )


def drop_stdout() -> None:
    """Let what is still to be written vanish: the interpreter would try again as it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDOUT)
    os.close(null)


def _is_descriptor(stream: io.TextIOWrapper) -> bool:
    raw = getattr(stream.buffer, "raw", stream.buffer)  # unbuffered, there is one layer less
    return isinstance(raw, io.FileIO) and raw.fileno() == _STDOUT


def _occupy(number: int, flags: int) -> None:
    null = os.open(os.devnull, flags)
    if null != number:
        os.dup2(null, number)
        os.close(null)
