"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from freqprep.text.terminal import shortened, wrapped

_SECONDS_BETWEEN_LINES = 10.0
_COLUMNS = 80
_SHORTEST_BAR = 10
_MOST_DIGITS = 5


def say(message: str) -> None:
    """Say what is going on: one line, wrapped on a terminal, above the bar where there is one."""
    if sys.stderr.isatty():
        message = "\n".join(map(_fitted, message.split("\n")))
    _Bar.write(message, file=sys.stderr)
    sys.stderr.flush()


def _fitted(line: str) -> str:
    most = _columns()
    return line if len(line) <= most else "\n".join(wrapped(line, most))


class Progress:
    """Counts items with rate and time left.

    Parameters
    ----------
    what : str
        Shown before the numbers.
    total : int
        Items in all.
    done : int
        Items finished by an earlier run.
    unit : str
        Name of an item.
    keep : bool
        Whether a bar stays on the terminal when all is done: where nothing else is said then.
    """

    def __init__(
        self, what: str, total: int, done: int = 0, unit: str = "image", keep: bool = False
    ) -> None:
        terminal = sys.stderr.isatty()
        self._bar = _Bar(
            total=total,
            initial=done,
            desc=what,
            unit=f"{unit}s",
            leave=keep,
            file=sys.stderr,
            disable=not terminal,
        )
        self._terminal = terminal
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
        silent = self._terminal or self._told == self._done
        if not silent and kind is None and time.monotonic() - self._start > 2:
            self._line()

    def update(self, count: int, *notes: str) -> None:
        """Some more items are finished.

        Parameters
        ----------
        count : int
        *notes : str
            Shown behind the numbers until the next ones are given, the most important first: a
            bar has as many of them as there is room for, a line all.
        """
        self._done += count
        if notes:
            self._notes = self._bar.notes = notes
        self._bar.update(count)
        if not self._terminal and time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line()

    def _line(self) -> None:
        self._told = self._done
        rate = (self._done - self._before) / max(time.monotonic() - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate else None
        counted = f"{self._what}: {self._done}/{self._total} {self._unit}s"
        say(", ".join([counted, f"{rate:.1f}/s", f"{_clock(left)} left", *self._notes]))


class _Bar(tqdm):
    """A bar that fits the terminal: name, bar, count, one rate, time left, notes."""

    notes: tuple[str, ...] = ()

    @property
    def format_dict(self) -> dict[str, Any]:
        """The numbers, and their layout for the terminal as wide as it is now."""
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
        # What is not the bar is literal text: braces in a name are no fields.
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
    """All digits of a number that is not long, otherwise three of them: ``1.28M``."""
    return str(number) if len(str(number)) <= _MOST_DIGITS else tqdm.format_sizeof(number)


def _rate(rate: float, unit: str) -> str:
    return f"{rate:.{0 if rate >= 1000 else 1 if rate >= 1 else 2}f} {unit}/s"


def _clock(seconds: float | None) -> str:
    """Hours, minutes and seconds; a question mark where nobody knows."""
    if seconds is None:
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
