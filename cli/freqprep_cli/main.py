"""Entry point of the command line: signals, warnings and errors."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any

EXIT_INTERRUPTED = 130

_LESS_MEMORY = "run again with fewer --jobs or --threads, and --resume where the command has it"
_OUT_OF_MEMORY = ("can't start new thread", "failed to map segment", "allocate memory")
"""Words of errors of the interpreter, of the system's loader, and of torch."""

_ELSEWHERE = "free some space, or send the output elsewhere"


def main() -> None:
    """Run the command line; an error is one line on stderr and an exit code."""
    try:
        signal.signal(signal.SIGTERM, _as_interrupt)
        _run()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except (MemoryError, RuntimeError, ImportError) as error:
        if not _says_out_of_memory(error):
            raise
        text = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"error: memory ran out ({text:.200}); {_LESS_MEMORY}", file=sys.stderr)
        sys.exit(1)


def _run() -> None:
    # Imported here because it takes half a second: an interrupt meanwhile gives no traceback.
    from freqprep.errors import FreqprepError
    from freqprep.progress import say
    from freqprep_cli.app import app
    from freqprep_cli.standard_output import NAME, drop_stdout, name_stdout

    def show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        say(f"warning: {message} ({category.__name__})")  # there may be a progress bar on the line

    warnings.showwarning = show_warning
    name_stdout()
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="freqprep")
    except FreqprepError as error:
        _fail(f"error: {error}", error.exit_code)
    except OSError as error:
        if error.filename == NAME:
            drop_stdout()
            _fail(f"error: {NAME} cannot be written: {error.strerror}; {_ELSEWHERE}", 1)
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        _fail(f"error: {where}{error.strerror or error}", 1)


def _says_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> None:
    from freqprep.text.terminal import on_one_line

    print(on_one_line(message), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
