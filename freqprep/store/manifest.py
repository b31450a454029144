"""The manifest: length and hash of every file of a finished split, and its attributes.

The split's content id is the SHA-256 of the manifest's bytes. The group's own ``zarr.json`` has
that id, so it cannot be hashed in the manifest; instead the manifest has its attributes, and the
file must be exactly what follows from them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freqprep.errors import CorruptStoreError, FormatVersionError, FreqprepError, StoreError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.storage.ranged_file import REPAIR
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.not_a_store import inside_a_store, is_root_document, not_a_store
from freqprep.store.schema import FORMAT_NAME, check_format, in_two_levels
from freqprep.store.unreadable import unreadable

MANIFEST = "manifest.json"
GROUP_DOCUMENT = "zarr.json"

MOST_BYTES = 2**27
"""Longest manifest or document that is read: 65,536 shards take 7 MB, a million classes 60 MB."""

_PATH = re.compile(r"(?!\.+(/|$))[\w.-]+(/(?!\.+(/|$))[\w.-]+)*", re.ASCII)
_MOST_FILE_BYTES = 2**62
_MOST_SHOWN = 100

_MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
)


@dataclass(frozen=True)
class Manifest:
    """Attributes of a split, and its files except the group's document and the manifest.

    Attributes
    ----------
    attributes : dict
        Attributes of the split's group, without the content id.
    files : dict of str to FileEntry
        Path relative to the split, with forward slashes -> length and hash; sorted. Of a large
        split, without the shards; see `freqprep.store.shard_table`.
    """

    attributes: dict[str, Any]
    files: dict[str, FileEntry]

    @property
    def two_levels(self) -> bool:
        """Whether the shards are listed in files of their own: from format 1.2 on."""
        return in_two_levels(self.attributes)

    def __repr__(self) -> str:
        total = sum(entry.file_bytes for entry in self.files.values())
        return f"Manifest({self.attributes.get('split')!r}, {len(self.files)} files, {total} bytes)"

    def to_bytes(self) -> bytes:
        """Return the bytes of the manifest: JSON, one line per file."""
        lines = [
            f"{json.dumps(path)}: {json.dumps([entry.file_bytes, entry.sha256])}"
            for path, entry in sorted(self.files.items())
        ]
        attributes = json.dumps(self.attributes, indent=1)
        files = ",\n".join(lines)
        return f'{{"attributes": {attributes},\n"files": {{\n{files}\n}}}}\n'.encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: AnyPath) -> Manifest:
        """Parse the bytes of a manifest.

        Parameters
        ----------
        data : bytes
        where : Path or ObjectPath
            Path of the manifest, for messages.

        Returns
        -------
        Manifest

        Raises
        ------
        CorruptStoreError
            The bytes are not those of a manifest.
        FormatVersionError
            Its format is newer, or of another major version.
        """
        try:
            document = parse(data)
            check_format(document["attributes"])
            files = {path: _entry(found) for path, found in document["files"].items()}
        except _MALFORMED as error:
            raise CorruptStoreError(
                f"the manifest {where} is damaged ({error!r:.{2 * _MOST_SHOWN}})", REPAIR
            ) from None
        for path, entry in files.items():
            if not _PATH.fullmatch(path):
                raise CorruptStoreError(
                    f"the manifest {where} lists a path outside: {path!r:.{_MOST_SHOWN}}"
                )
            if not 0 <= entry.file_bytes <= _MOST_FILE_BYTES:
                raise CorruptStoreError(
                    f"the manifest {where} states a file of {entry.file_bytes} bytes"
                )
        return cls(document["attributes"], files)


def _entry(found: Any) -> FileEntry:
    """Read length and hash of a file; true is no length, and a text none."""
    length, sha256 = found
    if type(length) is not int or type(sha256) is not str:
        raise TypeError(f"{found!r:.{_MOST_SHOWN}} is no length with a hash")
    return FileEntry(length, sha256)


def content_id(manifest_bytes: bytes) -> str:
    """Return the SHA-256 of a manifest's bytes, in hexadecimal."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def read_manifest(split_folder: AnyPath) -> tuple[Manifest, str]:
    """Return the manifest of a finished split, and the split's content id."""
    path = split_folder / MANIFEST
    try:
        data = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise StoreError(
            f"{split_folder} has no {MANIFEST}", "it is not a finished split of a freqprep store"
        ) from None
    return Manifest.from_bytes(data, path), content_id(data)


def check_unchanged(path: AnyPath, content_id: str) -> None:
    """Raise StoreError if a split was replaced or removed since it was opened."""
    if read_manifest(path)[1] != content_id:
        raise replaced(path, content_id)


def replaced(path: AnyPath, content_id: str) -> StoreError:
    """Return the error of a split that is no longer the one that was opened."""
    return StoreError(
        f"{path} was replaced after it was opened (its content id is no longer {content_id[:12]})",
        "open the store again and start a new run",
    )


def check_root(store: AnyPath) -> None:
    """Refuse a place that is not a freqprep store.

    Raises
    ------
    StoreError
        It is not a store, or does not exist.
    FormatVersionError
        The store's format is newer, or of another major version.
    """
    path = store / GROUP_DOCUMENT
    if isinstance(path, Path) and not path.is_file():  # reading a pipe would block
        raise not_a_store(store)
    try:
        data = _content(path)
    except FileNotFoundError:
        raise not_a_store(store) from None
    if not is_root_document(data) and (inside := inside_a_store(store)):
        raise inside
    attributes = _group_attributes(path, data)
    if attributes.get("format") != FORMAT_NAME:
        raise FormatVersionError(
            f"{store} is a Zarr group, but not a freqprep store", "make one with `freqprep convert`"
        )
    check_format(attributes)
    if "split" in attributes:
        raise StoreError(
            f"{store} is one split of a store, without its store",
            "name the store that it was copied from",
        )


def read_group_attributes(folder: AnyPath) -> dict[str, Any]:
    """Return the attributes of the Zarr group in a folder.

    Raises
    ------
    CorruptStoreError
        The group's document cannot be read, or is not that of a group.
    """
    path = folder / GROUP_DOCUMENT
    return _group_attributes(path, _there(path))


def _group_attributes(path: AnyPath, data: bytes) -> dict[str, Any]:
    document = _parsed(path, data)
    if not isinstance(document, dict) or document.get("node_type") != "group":
        raise CorruptStoreError(f"{path} is not the document of a Zarr group")
    attributes = document.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def group_document(manifest: Manifest, identity: str, split_folder: AnyPath) -> bytes:
    """Return the bytes of a split's ``zarr.json``: attributes, content id and arrays' metadata.

    The arrays' documents are repeated inside (Zarr's inline consolidated metadata), so that a
    reader opens the split with one request and never lists the folder.
    """
    names = sorted(
        path.removesuffix(f"/{GROUP_DOCUMENT}")
        for path in manifest.files
        if path.count("/") == 1 and path.endswith(f"/{GROUP_DOCUMENT}")
    )
    paths = [split_folder / name / GROUP_DOCUMENT for name in names]
    content = zip(names, paths, for_each(_there, paths), strict=True)
    arrays = {name: _parsed(path, data) for name, path, data in content}
    document = {
        "attributes": {**manifest.attributes, "content_id": identity},
        "zarr_format": 3,
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays},
        "node_type": "group",
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def _content(path: AnyPath) -> bytes:
    try:
        return read_regular(path, MOST_BYTES)
    except (FileNotFoundError, FreqprepError):  # the latter from a server
        raise
    except OSError as error:
        raise unreadable(str(path), error, REPAIR) from None


def _there(path: AnyPath) -> bytes:
    try:
        return _content(path)
    except FileNotFoundError as error:
        raise unreadable(str(path), error, REPAIR) from None


def _parsed(path: AnyPath, data: bytes) -> Any:
    try:
        return parse(data)
    except ValueError as error:
        raise unreadable(str(path), error, REPAIR) from None
