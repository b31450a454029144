"""File of an external score, such as the open probabilities of a trained gate.

A JSON object: ``{"format": "freqprep-scores", "name": "gate", "meaning": "...", "unit": "...",
"values": {"y_0_0": 0.98, ...}}`` with a finite number for each of the 192 channels; the largest
rank first. Files that freqprep writes have their hash as well.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError, UsageError, some
from freqprep.importance.ranking import Ranking, by_size
from freqprep.spectrum.channels import NAMES, PUBLISHED, RULE_PREFIXES
from freqprep.storage.document_hash import HASH_KEY, without_hash
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse

FORMAT_NAME = "freqprep-scores"
_MOST_BYTES = 2**20
_LONGEST_TEXT = 200
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_LARGEST = 1e300  # whole numbers of JSON may be too large for a float


def read_scores(path: Path) -> Ranking:
    """Read a score from a file, and rank the channels by it.

    Raises
    ------
    UsageError
        The file cannot be read, is malformed, or lacks a finite number for a channel.
    """
    document = _read(path)
    values, name = document.get("values"), document.get("name")
    if not isinstance(values, dict) or not isinstance(name, str):
        raise _wrong(path, 'it needs a "name" and "values" by channel')
    if not _NAME.fullmatch(name) or any(
        other.startswith(f"{name}-") for other in (*PUBLISHED, *RULE_PREFIXES)
    ):
        raise _wrong(path, f"{name[:64]!r} cannot be a score's name; choose a word of your own")
    missing = [channel for channel in NAMES if not _is_number(values.get(channel))]
    if missing:
        raise _wrong(path, f"no finite number for {some(missing)}")
    unknown = [str(key) for key in values if key not in NAMES]
    if unknown:
        raise _wrong(path, f"not channels: {some(unknown)}")
    numbers = np.array([float(values[channel]) for channel in NAMES])
    unit, meaning = (str(document.get(key, "")) for key in ("unit", "meaning"))
    if not (unit + meaning).isprintable() or len(unit + meaning) > _LONGEST_TEXT:
        raise _wrong(path, f"its texts are not one line of at most {_LONGEST_TEXT} characters")
    return Ranking(name, unit, meaning or f"from {path.name}", numbers, by_size(numbers))


def _read(path: Path) -> dict[str, Any]:
    try:
        document = parse(read_regular(path, _MOST_BYTES))
    except OSError as error:
        raise _wrong(path, f"it cannot be read: {error.strerror}") from None
    except CorruptStoreError as error:
        raise _wrong(path, error.message) from None
    except ValueError as error:
        raise _wrong(path, f"it is not JSON ({error})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT_NAME:
        raise _wrong(path, f'it is not an object with "format": "{FORMAT_NAME}"')
    try:
        return without_hash(document)
    except ValueError as error:
        raise UsageError(
            f"{path} is damaged, or was edited: {error}",
            f'restore it from a copy; if you edited it, remove its "{HASH_KEY}"',
        ) from None


def _is_number(value: object) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) < _LARGEST and math.isfinite(value)


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(f"{path} holds no scores: {what}", "docs/how-to/channels.md shows the form")
