"""The hash that a JSON document has of itself, so that no digit of it changes unseen.

A flipped bit in a number often leaves valid JSON. The last key of a document is the hash of all
else that it says; one without it, written by hand or before there were hashes, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

HASH_KEY = "sha256"
"""Key of the hash."""


def with_hash(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its hash as the last key; an old one is left out."""
    content = {key: value for key, value in document.items() if key != HASH_KEY}
    return {**content, HASH_KEY: _digest(content)}


def without_hash(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parsed document without its hash, once that is known to be right.

    Raises
    ------
    ValueError
        The document has a hash, and it is not its own.
    """
    content = dict(document)
    if HASH_KEY in content and content.pop(HASH_KEY) != _digest(content):
        raise ValueError(f'its content is not what its "{HASH_KEY}" was written for')
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
