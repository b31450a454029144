"""Notes and progress on stderr.

Notes go to the logger ``freqprep``, whose handler writes them above the bars; progress is a bar on
a terminal and a line now and then elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from tqdm import tqdm

from freqprep.arguments import check_flags
from freqprep.text.terminal import on_one_line, shortened, wrapped

SWITCH = "FREQPREP_PROGRESS"
"""Environment variable; ``0`` switches progress off."""

_QUIET_SECONDS = 2.0
_SECONDS_BETWEEN_LINES = 10.0
_ITEMS_BETWEEN_LOOKS = 100
_COLUMNS = 80
_SHORTEST_BAR = 10
_MOST_DIGITS = 5
_WARNING = "warning: "

ItemT = TypeVar("ItemT")

_logger = logging.getLogger("freqprep")
_switched: bool | None = None  # by show_progress; until then the environment decides


def say(message: str) -> None:
    """Log a note for people; one that begins with ``warning: `` is a warning.

    What cannot be printed is escaped: names in a note may have control characters.
    """
    message = "\n".join(map(on_one_line, message.split("\n")))
    _logger.log(logging.WARNING if message.startswith(_WARNING) else logging.INFO, message)


@contextlib.contextmanager
def noted_if_long(message: str, applies: Callable[[], bool]) -> Iterator[None]:
    """Log a note if the block takes more than two seconds, and the note applies then."""

    def note() -> None:
        if applies():
            say(message)

    timer = threading.Timer(_QUIET_SECONDS, note)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def counted(items: Iterable[ItemT], what: str, unit: str) -> Iterator[ItemT]:
    """Pass on items whose number is not known; lines say how many there are, if it takes long.

    Parameters
    ----------
    items : iterable
    what, unit : str
        Name of the work, and of the items.

    Yields
    ------
    Any
    """
    due = time.monotonic() + _QUIET_SECONDS
    for number, item in enumerate(items, start=1):
        yield item
        if number % _ITEMS_BETWEEN_LOOKS == 0 and time.monotonic() > due:
            due = time.monotonic() + _SECONDS_BETWEEN_LINES
            if _progress_is_shown():
                _write(f"{what}: {number} {unit}")


def show_progress(shown: bool = True) -> None:
    """Switch progress on or off in this process, whatever ``FREQPREP_PROGRESS`` says.

    What is under way is left as it is. Notes are not progress: set the level of the logger
    ``freqprep`` to silence them.

    Parameters
    ----------
    shown : bool
        Whether bars, or lines where stderr is no terminal, are shown.
    """
    global _switched
    check_flags(shown=shown)
    _switched = shown


def _progress_is_shown() -> bool:
    return os.environ.get(SWITCH) != "0" if _switched is None else _switched


class _AboveBars(logging.Handler):
    """Writes records to stderr as it is now, above any bar, wrapped where it is a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        _write(self.format(record))


def _write(text: str) -> None:
    if sys.stderr.isatty():
        text = "\n".join(map(_fitted, text.split("\n")))
    _Bar.write(text, file=sys.stderr)
    sys.stderr.flush()


def _fitted(line: str) -> str:
    most = _columns()
    return line if len(line) <= most else "\n".join(wrapped(line, most))


def _show_notes() -> None:
    """Show notes on stderr, unless the application has set up our logger itself."""
    if not _logger.handlers:
        _logger.addHandler(_AboveBars())
        _logger.propagate = False  # an application's root handler would say all of it twice
    if _logger.level == logging.NOTSET:
        _logger.setLevel(logging.INFO)


_show_notes()


class Progress:
    """Progress of a piece of work: items done, rate and time left; a context manager.

    Parameters
    ----------
    what : str
        Name of the work, shown before the numbers.
    total : int
        Number of items.
    done : int
        Number of items that an earlier run finished.
    unit : str
        Name of an item.
    keep : bool
        Whether the bar stays on the terminal at the end, where no note follows it.
    """

    def __init__(
        self, what: str, total: int, done: int = 0, unit: str = "image", keep: bool = False
    ) -> None:
        shown, terminal = _progress_is_shown(), sys.stderr.isatty()
        self._bar = _Bar(
            total=total,
            initial=done,
            desc=what,
            unit=f"{unit}s",
            leave=keep,
            file=sys.stderr,
            disable=not (shown and terminal),
        )
        self._lines = shown and not terminal
        self._what, self._total, self._unit = what, total, unit
        self._done = self._before = self._told = done
        self._start = self._last = time.monotonic()
        self._notes: tuple[str, ...] = ()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        due = self._lines and self._told != self._done
        if due and kind is None and time.monotonic() - self._start > 2:
            self._line()

    def update(self, count: int, *notes: str) -> None:
        """Count more items as done.

        Parameters
        ----------
        count : int
            Number of items done since the last call.
        *notes : str
            Shown behind the numbers until the next ones are given, the most important first: a
            bar has as many of them as there is room for, a line all.
        """
        self._done += count
        if notes:
            self._notes = self._bar.notes = notes
        self._bar.update(count)
        if self._lines and time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line()

    def _line(self) -> None:
        self._told = self._done
        rate = (self._done - self._before) / max(time.monotonic() - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate else None
        counted = f"{self._what}: {self._done}/{self._total} {self._unit}s"
        _write(", ".join([counted, f"{rate:.1f}/s", f"{_clock(left)} left", *self._notes]))


class _Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A bar that fits the terminal: name, bar, count, one rate, time left, notes."""

    notes: tuple[str, ...] = ()

    @property
    def format_dict(self) -> dict[str, Any]:
        """Values of the bar, and their layout at the terminal's present width."""
        values = super().format_dict
        columns = _columns()
        done, total = values["n"], values["total"]
        rate = values["rate"] or (done - values["initial"]) / max(values["elapsed"], 1e-9)
        left = (total - done) / rate if rate else None
        speed = [_rate(rate, self.unit)] if rate else []
        parts = [f"{_count(done)}/{_count(total)}", *speed, f"{_clock(left)} left"]
        what = shortened(values["prefix"], max(columns // 4, _SHORTEST_BAR))
        for note in self.notes:
            used = len(f"{what} || {', '.join([*parts, note])}")
            if used + _SHORTEST_BAR < columns:
                parts.append(note)
        # All but the bar is literal text: braces in a name are no fields.
        texts = (part.replace("{", "{{").replace("}", "}}") for part in (what, ", ".join(parts)))
        layout = "{} |{{bar}}| {}".format(*texts)
        return {**values, "ncols": columns - 1, "bar_format": layout, "prefix": ""}


def _columns() -> int:
    """Width of the terminal on stderr."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return columns or _COLUMNS


def _count(number: int) -> str:
    """All digits of a short number, three of a long one: ``1.28M``."""
    return str(number) if len(str(number)) <= _MOST_DIGITS else tqdm.format_sizeof(number)


def _rate(rate: float, unit: str) -> str:
    return f"{rate:.{0 if rate >= 1000 else 1 if rate >= 1 else 2}f} {unit}/s"


def _clock(seconds: float | None) -> str:
    """Hours, minutes and seconds; a question mark while unknown."""
    if seconds is None:
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
