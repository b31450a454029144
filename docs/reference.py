"""Write the pages that are made from the code: docs/cli.md and docs/api.md.

Usage: python docs/reference.py [--check]

With ``--check`` nothing is written: exit 1 where a page is not what would be written.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import typer.main
from freqprep_cli.app import app

DOCS = Path(__file__).parent
WIDTH = 100

CLI_HEAD = """\
# The command line

Written by `make docs` from the commands' own `--help`; `make check` compares. What the options do
in practice is in the [how-to](how-to.md), which has the [exit codes](how-to/scripts.md#exit-codes).
"""

API_HEAD = """\
# The Python API

Written by `make docs` from `__all__` and the docstrings; `make check` compares. `help(name)` has
the parameters, and the [how-to](how-to.md) examples.

**The names on this page are public.** They change only in a release whose
[changelog](../CHANGELOG.md) says so. **Everything else is private**, with or without an underscore:
other modules, and other names in these modules.
"""

MODULES = (
    "freqprep",
    "freqprep.convert",
    "freqprep.pack",
    "freqprep.augment",
    "freqprep.models",
    "freqprep.training",
    "freqprep.errors",
)
"""Modules whose ``__all__`` is public. A module named in it stands for its own ``__all__``."""

SINGLE_NAMES = {
    "freqprep.convert.source_sample": ["source_sample"],
    "freqprep.drawing.object_overlay": ["draw_objects"],
    "freqprep.images.rle": ["decode_mask"],
    "freqprep.importance.request": ["StatsRequest", "compute_stats"],
    "freqprep.progress": ["show_progress"],
    "freqprep.spectrum.quantization": ["Precision"],
    "freqprep.storage.paths": ["as_path"],
    "freqprep.store.selections": ["save_selection"],
    "freqprep.store.steps_file": ["read_steps", "write_steps"],
}
"""Public names of modules that are private otherwise."""


COMMAND: Any = typer.main.get_command(app)


def commands() -> list[str]:
    """Names of all commands, in the order of ``freqprep --help``."""
    return list(COMMAND.commands)


def help_text(*command: str) -> str:
    """What ``freqprep COMMAND --help`` prints on a terminal ``WIDTH`` columns wide."""
    printed = io.StringIO()
    wide = mock.patch.dict(os.environ, COLUMNS=str(WIDTH))
    with wide, contextlib.redirect_stdout(printed):
        COMMAND.main([*command, "--help"], prog_name="freqprep", standalone_mode=False)
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


@functools.cache
def cli_page() -> str:
    """The whole of docs/cli.md."""
    parts = [CLI_HEAD, f"```text\n{help_text()}\n```\n"]
    parts += [f"## freqprep {name}\n\n```text\n{help_text(name)}\n```\n" for name in commands()]
    return "\n".join(parts)


def public_names() -> dict[str, list[str]]:
    """Public names of each module; the modules of a package follow it."""
    names: dict[str, list[str]] = {}

    def add(name: str) -> None:
        module = importlib.import_module(name)
        own = {item: getattr(module, item, None) for item in module.__all__}
        inside = [item for item in own if own[item] is None or inspect.ismodule(own[item])]
        names[name] = [item for item in own if item not in inside]
        for item in inside:
            add(f"{name}.{item}")

    for name in MODULES:
        add(name)
    return names | SINGLE_NAMES


@functools.cache
def api_page() -> str:
    """The whole of docs/api.md."""
    parts = [API_HEAD]
    for name, names in public_names().items():
        module = importlib.import_module(name)
        level = "##" if name in MODULES or name in SINGLE_NAMES else "###"
        parts.append(f"{level} {name}\n\n{summary(module)}\n")
        if names:
            parts.append("\n".join(entries(module, names)) + "\n")
    return "\n".join(parts)


def entries(module: ModuleType, names: list[str]) -> Iterator[str]:
    """A list item for each of a module's names: its signature and its summary line."""
    for name in names:
        item = getattr(module, name)
        yield f"- `{name}{signature(item)}`: {summary(item)}"


def signature(item: Any) -> str:
    """Parameters with their defaults, without types; nothing for a kind of error."""
    if inspect.isclass(item) and issubclass(item, BaseException):
        return ""
    called = inspect.signature(item)
    bare = [
        parameter.replace(annotation=parameter.empty)
        for parameter in called.parameters.values()
        if not parameter.name.startswith("_")
    ]
    return str(inspect.Signature(bare)).replace("<factory>", "...")


def summary(item: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    text = inspect.getdoc(item)
    assert text, f"{item} has no docstring"
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`")


PAGES = {"cli.md": cli_page, "api.md": api_page}


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    code = 0
    for name, page in PAGES.items():
        path, text = DOCS / name, page()
        if not arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what the code says: run `make docs`", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
