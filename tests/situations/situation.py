"""Situations that end in a message: made on small data, run, and written as a section of a page."""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
import shutil
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import synthetic
from stand_ins import StandIns

from freqprep.errors import FreqprepError

WIDTH = 84
HOST = "http://host"
LAUNCHER = "torchrun --nnodes 2 --no-python -- "
"""What starts a command here and on another machine; `Situation.during` starts the other."""

RUN_BY = "<!-- run by: tests/situations/__main__.py -->"

MASKS = (
    (r"process \d+ on [^\s)]+", "process 4711 on node7"),
    (r"\(\d+ MB free\)", "(2 MB free)"),
    (r"another one: .*; see", "another one: Connection closed by peer [node8]; see"),
    (r"127\.0\.0\.1:\d+", "host"),
    (r"Generic S3 error: .* - HTTP error: ", ""),
    (r"(failed finding central directory)\..*; restore", r"\1; restore"),
)
"""What differs from run to run, and what is shown in its place."""


def nothing(folder: Path) -> None:
    """Prepare nothing: what the command names is enough."""


@contextlib.contextmanager
def as_it_is(folder: Path) -> Iterator[str]:
    """Change nothing while the command runs."""
    yield HOST


@dataclass(frozen=True)
class Situation:
    """A command or snippet that ends in a message, with the reason and the remedy.

    Attributes
    ----------
    title : str
        Heading of its section: the situation, in the words of someone who is in it.
    run : str
        Command line of ``freqprep``, or lines of Python.
    why : str
    remedy : str
        What to do, beyond what the message says.
    make : callable
        Makes the situation in a folder that has what `run` names.
    during : callable
        Context in which it is run; it gives the address for which `HOST` stands.
    given : str
        Names of files that are there besides those of `run`.
    """

    title: str
    run: str
    why: str
    remedy: str
    make: Callable[[Path], object] = nothing
    during: Callable[[Path], AbstractContextManager[str]] = as_it_is
    given: str = ""

    @property
    def is_command(self) -> bool:
        """Whether it is typed in a shell."""
        return self.run.startswith(("freqprep ", LAUNCHER))

    def message(self, folder: Path, stand_ins: StandIns) -> tuple[str, int]:
        """Run it in an empty folder; return what it says, and the exit code or 0."""
        folder.mkdir()
        with _unsaid():
            for name in stand_ins.named_in(f"{self.run} {self.given}"):
                stand_ins.put(name, folder)
            self.make(folder)
        with self.during(folder) as host, contextlib.chdir(folder):
            run = self.run.replace(HOST, host)
            said, code = (_of_command if self.is_command else _of_python)(run)
        shutil.rmtree(folder)
        lines = masked(said.replace(str(folder), "/data")).splitlines()
        return "\n".join(map(wrapped, lines)), code

    def section(self, folder: Path, stand_ins: StandIns) -> str:
        """Its part of the page."""
        said, code = self.message(folder, stand_ins)
        if self.is_command:
            block = f"{RUN_BY}\n```console\n$ {self.run}\n{said}\n```"
        else:
            block = f"{RUN_BY}\n```python\n{self.run}\n```\n\n```text\n{said}\n```"
        ended = f" (Exit code {code}.)" if code else ""
        return f"### {self.title}\n\n{block}\n\n{self.why}{ended}\n\n**Do:** {self.remedy}\n"


@contextlib.contextmanager
def _unsaid() -> Iterator[None]:
    logger = logging.getLogger("freqprep")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _of_command(line: str) -> tuple[str, int]:
    done = synthetic.freqprep(*shlex.split(line.removeprefix(LAUNCHER))[1:])
    lines = done.stderr.splitlines()
    said = [one for one in lines if re.match(r"(error|warning): ", one)]
    text = "\n".join(said or lines[-1:]) or done.stdout
    return text, done.returncode


def _of_python(code: str) -> tuple[str, int]:
    with _unsaid(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            exec(compile(code, "snippet", "exec"), {})
        except FreqprepError as error:
            return _named(error), 0
    if not warned:
        raise ValueError(f"it said nothing:\n{code}")
    return _named(warned[0].message), 0


def _named(said: Warning | Exception | str) -> str:
    return f"{type(said).__module__}.{type(said).__name__}: {said}"


def wrapped(line: str) -> str:
    """A long message in lines of `WIDTH` columns, as a terminal shows it."""
    parts = textwrap.wrap(line, WIDTH, break_on_hyphens=False, subsequent_indent="  ")
    return "\n".join(parts)


def masked(text: str) -> str:
    """Text without what differs from run to run."""
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return text
