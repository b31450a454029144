"""Provenance of a packed split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freqprep.store.attribute_checks import hexadecimal, texts


@dataclass(frozen=True)
class Packed:
    """Provenance of a packed split.

    Attributes
    ----------
    content_id : str
        Content id of the split that it was packed from.
    versions : dict of str to str
        Versions of the libraries that packed it.
    """

    content_id: str
    versions: Mapping[str, str]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Packed:
        """Parse the attribute ``packed``; raise `TypeError` or `ValueError` if malformed."""
        if set(data) != {"content_id", "versions"}:
            raise ValueError("packed has other fields than content_id and versions")
        return cls(hexadecimal(data, "content_id"), texts(data, "versions"))
