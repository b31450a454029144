"""Patterns with braces, ``train-{000..146}.tar``: no more names than a source can have."""

from __future__ import annotations

import re

from braceexpand import braceexpand

from freqprep.errors import SourceError

_MOST_FILES = 1_000_000
_TOKENS = re.compile(
    r"\\.|\{(-?\d+)\.\.(-?\d+)(?:\.\.-?(\d+))?\}|\{[A-Za-z]\.\.[A-Za-z](?:\.\.-?(\d+))?\}|[{},]",
    re.DOTALL,
)
_MOST_DIGITS = 18
_LETTERS = 52


def expanded(pattern: str, source: object) -> list[str]:
    """Return the names that a pattern's braces stand for, as in the shell.

    Parameters
    ----------
    pattern : str
    source : object
        Its text names the pattern in messages.

    Returns
    -------
    list of str

    Raises
    ------
    SourceError
        They are more than a million, or the braces are unbalanced.
    """
    # braceexpand makes the parts of a product in memory, whatever their number.
    if _most_names(pattern) > _MOST_FILES:
        raise SourceError(f"{source} names more than {_MOST_FILES} files", "name a folder")
    try:
        return list(braceexpand(pattern))
    except (ValueError, RecursionError):
        raise SourceError(
            f"{source}: the braces of the pattern are not balanced, or nested too deeply",
            "write as many } as {, such as 'train-{000..146}.tar'",
        ) from None


def _most_names(pattern: str) -> int:
    """Return how many names a pattern stands for; at most a few more if it is malformed."""
    # Of each open brace: names of its finished alternatives, and of the one that is read.
    open_braces = [(0, 1)]
    for token in _TOKENS.finditer(pattern):
        finished, names = open_braces[-1]
        text = token[0]
        if text == "{":
            open_braces.append((0, 1))
        elif text == ",":
            open_braces[-1] = (finished + names, 1) if len(open_braces) > 1 else (0, names)
        elif text == "}":
            if len(open_braces) > 1:
                open_braces.pop()
                above, before = open_braces[-1]
                open_braces[-1] = (above, before * (finished + names))
        elif text[0] == "{":
            open_braces[-1] = (finished, names * _range_size(token))
        if sum(open_braces[-1]) > _MOST_FILES:
            break
    return sum(open_braces[-1])


def _range_size(token: re.Match[str]) -> int:
    if token[1] is None:
        return _LETTERS
    numbers = [text for text in token.groups() if text is not None]
    if max(map(len, numbers)) > _MOST_DIGITS:
        return _MOST_FILES + 1
    first, last, *step = map(int, numbers)
    return abs(last - first) // (step[0] or 1 if step else 1) + 1
