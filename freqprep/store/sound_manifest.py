"""The manifest of a damaged split: found, or made again from the files that it lists.

A manifest is right if its SHA-256 is a content id that was recorded for the split: in the
documents of the store's splits, of which two may have been exchanged, or in the log beside it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from freqprep.errors import OUTSIDE, CorruptStoreError, FreqprepError
from freqprep.storage.concurrency import for_each
from freqprep.storage.paths import AnyPath, folder_names, hash_file, walk_files
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.layout import beside, shard_number
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, Manifest, content_id

_MOST_BYTES = 2**31
"""Length of a manifest, at most, and of the log, which grows with each conversion."""

_RECORDED = re.compile(rb'"content_id": "([0-9a-f]{64})"')


class SoundManifest(NamedTuple):
    """A manifest whose bytes are those that were published.

    Attributes
    ----------
    manifest : Manifest
    data : bytes
    content_id : str
    """

    manifest: Manifest
    data: bytes
    content_id: str


def sound_manifest(store: AnyPath, split: str) -> SoundManifest:
    """Return the manifest that a split was published with.

    Parameters
    ----------
    store : Path or ObjectPath
    split : str
        Name of the split, whose manifest or ``zarr.json`` may be damaged or missing.

    Returns
    -------
    SoundManifest

    Raises
    ------
    CorruptStoreError
        It is neither there, nor does it follow from the other files.
    """
    folders = [store / name for name in folder_names(store) if not name.startswith(".")]
    documents = [_content(folder / GROUP_DOCUMENT) for folder in folders]
    recorded = {found for data in documents for found in _RECORDED.findall(data)}
    recorded |= set(_logged(store, split))
    known = {found.decode() for found in recorded}
    there = (_content(folder / MANIFEST) for folder in folders)
    for data in itertools.chain(there, _made_again(store / split, documents)):
        if content_id(data) in known:
            manifest = Manifest.from_bytes(data, store / split / MANIFEST)
            if manifest.attributes.get("split") == split:
                return SoundManifest(manifest, data, content_id(data))
    raise CorruptStoreError(
        f"the manifest of {store / split} cannot be made again: other files of the split are"
        f" damaged too, or neither {GROUP_DOCUMENT} nor the log beside the store has its id",
        "restore it from a copy, or convert again with --overwrite",
    )


def _content(path: AnyPath) -> bytes:
    try:
        return read_regular(path, _MOST_BYTES)
    except OUTSIDE:
        raise
    except (OSError, CorruptStoreError):
        return b""


def _logged(store: AnyPath, split: str) -> Iterator[bytes]:
    """Yield the content ids that the log has of a split."""
    for line in _content(beside(store, ".log")).splitlines():
        entry = _parsed(line)
        if entry.get("split") == split and isinstance(entry.get("content_id"), str):
            yield entry["content_id"].encode()


def _made_again(folder: AnyPath, documents: list[bytes]) -> Iterator[bytes]:
    """Yield the manifest of a split's files as they are, with the attributes of its document."""
    for document in documents:
        attributes = _parsed(document).get("attributes")
        if not isinstance(attributes, dict) or attributes.get("split") != folder.name:
            continue
        attributes.pop("content_id", None)
        try:
            names = sorted({*walk_files(folder)} - {MANIFEST, GROUP_DOCUMENT})
            if Manifest(attributes, {}).two_levels:
                names = [name for name in names if shard_number(name) is None]
        except OUTSIDE:
            raise
        except (FreqprepError, KeyError, ValueError, TypeError, AttributeError):
            continue
        hashes = for_each(hash_file, [folder / name for name in names])
        yield Manifest(attributes, dict(zip(names, hashes, strict=True))).to_bytes()


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        document = parse(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
