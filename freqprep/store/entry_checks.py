"""Checks of a journal's entries, which may come from anyone.

A checksum says that an entry is as it was written, not that it was written by us. Each function
raises `KeyError`, `TypeError` or `ValueError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Any

from freqprep.store.attribute_checks import hexadecimal, number, texts

_MOST_FILE_BYTES = 2**62


def check_file(entry: Mapping[str, Any]) -> None:
    """Refuse an entry whose ``shard``, ``bytes`` or ``sha256`` are not those of a file."""
    number(entry, "shard")
    hexadecimal(entry, "sha256")
    if number(entry, "bytes") > _MOST_FILE_BYTES:
        raise ValueError(f"bytes is {entry['bytes']}")


def row_texts(entry: Mapping[str, Any], name: str) -> dict[int, str]:
    """Return the texts of some rows."""
    return {int(row): text for row, text in texts(entry, name).items()}


def check_lengths(columns: Iterable[Sized]) -> None:
    """Refuse columns of different lengths."""
    if len(lengths := {len(column) for column in columns}) > 1:
        raise ValueError(f"columns of {sorted(lengths)} rows")
