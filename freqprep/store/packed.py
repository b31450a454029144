"""Packed splits: where they come from, and what their journal has of a shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freqprep.store.attribute_checks import hexadecimal, texts
from freqprep.store.entry_checks import check_file

_ENTRY_BYTES = 8 + 32
"""Length and SHA-256 of a shard's file."""


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


@dataclass(frozen=True)
class PackedShard:
    """A finished shard: length and SHA-256 of its file."""

    shard: int
    file_bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON data."""
        return {"shard": self.shard, "bytes": self.file_bytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PackedShard:
        """Return the shard that `to_json` was called on."""
        check_file(data)
        return cls(data["shard"], data["bytes"], data["sha256"])

    def to_bytes(self) -> bytes:
        """Return length and hash."""
        return self.file_bytes.to_bytes(8, "little") + bytes.fromhex(self.sha256)

    @classmethod
    def from_bytes(cls, shard: int, data: bytes) -> PackedShard:
        """Return the shard that `to_bytes` was called on."""
        if len(data) != _ENTRY_BYTES:
            raise ValueError(f"an entry of {len(data)} bytes")
        return cls(shard, int.from_bytes(data[:8], "little"), data[8:].hex())
