"""Run the command on a pseudo-terminal of 80 columns, and reconstruct its final screen."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import synthetic

COLUMNS = 80


def on_a_terminal(*words: str | Path, columns: int = COLUMNS, **env: str) -> tuple[int, str]:
    """Run the command on a terminal; return the exit code and everything written to it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | env
    with subprocess.Popen(
        synthetic.command(*words),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other end is closed
                data = b""
            if not data:
                break
            written += data
    os.close(ours)
    return process.returncode, written.decode()


def screen(written: str, columns: int = COLUMNS) -> list[str]:
    """Lines on the screen after some output, with long lines wrapped."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", written, re.DOTALL):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
        elif token == "\x1b[A":
            row -= 1
        elif token == "\x1b[0m":
            pass  # of colorama, which Numba imports where it is installed, as the process ends
        elif token.startswith("\x1b"):
            assert token in ("\x1b[K",), f"an escape that this terminal does not know: {token!r}"
            lines[row] = lines[row][:column]
        else:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            line = lines[row].ljust(column)
            lines[row] = line[:column] + token + line[column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
