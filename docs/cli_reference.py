"""Write docs/cli.md from what each command's ``--help`` prints.

Usage: python docs/cli_reference.py [--check]

With ``--check`` nothing is written: exit 1 where docs/cli.md is not what would be written.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import typer.main
from freqprep_cli.app import app

PATH = Path(__file__).with_name("cli.md")
WIDTH = 100

HEAD = """\
# The command line

Written by `make docs` from the commands' own `--help`; `make check` compares. What the options do
in practice is in [how-to.md](how-to.md), which also lists the [exit codes](how-to.md#exit-codes).
"""


def commands() -> list[str]:
    """Names of all commands, in the order of ``freqprep --help``."""
    return list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def help_text(*command: str) -> str:
    """What ``freqprep COMMAND --help`` prints on a terminal ``WIDTH`` columns wide."""
    call = "import sys; sys.argv[0] = 'freqprep'; from freqprep_cli.main import main; main()"
    environment = {**os.environ, "COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH)}
    printed = subprocess.run(
        [sys.executable, "-c", call, *command, "--help"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return "\n".join(line.rstrip() for line in printed.strip().splitlines())


def document() -> str:
    """The whole of docs/cli.md."""
    parts = [HEAD, f"```\n{help_text()}\n```\n"]
    parts += [f"## freqprep {name}\n\n```\n{help_text(name)}\n```\n" for name in commands()]
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    text = document()
    if not arguments:
        PATH.write_text(text, encoding="utf-8")
        return 0
    if not PATH.is_file() or PATH.read_text(encoding="utf-8") != text:
        print(f"{PATH} is not what the commands' --help says: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
