"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


def say(message: str) -> None:
    """One line about what is going on."""
    print(message, file=sys.stderr, flush=True)


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
    """

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "image") -> None:
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, initial=done, desc=what, unit=f" {unit}s", disable=not terminal
        )
        self._terminal = terminal
        self._what, self._total, self._unit = what, total, unit
        self._done = self._before = self._told = done
        self._start = self._last = time.monotonic()
        self._note = ""

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

    def update(self, count: int, note: str = "") -> None:
        """Some more items are finished; ``note`` is shown behind the numbers, until the next."""
        self._done += count
        if note:
            self._note = f", {note}"
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        if not self._terminal and time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._line()

    def _line(self) -> None:
        self._told = self._done
        rate = (self._done - self._before) / max(time.monotonic() - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate else float("inf")
        say(
            f"{self._what}: {self._done}/{self._total} {self._unit}s, {rate:.1f}/s, "
            f"{_duration(left)} left{self._note}"
        )


def _duration(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
