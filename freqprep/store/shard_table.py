"""Length and hash of every shard of a split: in the manifest, or in parts that the manifest lists.

A split of more than 2**23 rows would have a manifest of gigabytes, which each process parses. Its
manifest lists files ``shards/<k>`` instead, each with the entries of 8,192 shards, and a reader
needs the parts of the shards that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.store.layout import shard_name, shard_number
from freqprep.store.small_arrays import RESTORE, SmallFiles
from freqprep.text.quantities import plural

SHARDS_PER_PART = 8192
FOLDER = "shards"

_ENTRY = np.dtype([("file_bytes", "<u8"), ("sha256", "V32")])
_PARTS_KEPT = 4


def part_name(part: int) -> str:
    """Return the path of a part relative to its split, with forward slashes."""
    return f"{FOLDER}/{part}"


def part_of(entries: Sequence[FileEntry]) -> bytes:
    """Return the bytes of a part: for each shard its length, uint64, and its SHA-256."""
    table = np.empty(len(entries), _ENTRY)
    table["file_bytes"] = [entry.file_bytes for entry in entries]
    hashes = bytes.fromhex("".join(entry.sha256 for entry in entries))
    table["sha256"] = np.frombuffer(hashes, "V32")
    return table.tobytes()


class ShardTable:
    """Length and hash of the shards of a finished split.

    Parameters
    ----------
    small : SmallFiles
        Files of the split that its manifest lists.
    shards : int
        Number of shards, by the attributes.

    Raises
    ------
    CorruptStoreError
        The manifest does not list as many shards or parts as there must be, or parts of other
        lengths, or lists a shard beside parts.
    """

    def __init__(self, small: SmallFiles, shards: int) -> None:
        self._small, self._files, self._shards = small, small.listed, shards
        self._in_parts = small.manifest.two_levels
        self._lengths: dict[int, np.ndarray] = {}  # of the parts read, 64 KB each
        self._part = lru_cache(_PARTS_KEPT)(self._read_part)
        if self._in_parts:
            _check_parts(self._files, shards, small.folder)
        else:
            _check_shards(self._files, shards, small.folder)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_part": None, "_lengths": {}}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        self.__dict__.update(state)
        self._part = lru_cache(_PARTS_KEPT)(self._read_part)

    def entry(self, shard: int) -> FileEntry:
        """Return length and hash of a shard's file.

        Raises
        ------
        CorruptStoreError
            It is not listed, or a part is damaged.
        ShardMissingError
            A part is missing.
        """
        if self._in_parts and 0 <= shard < self._shards:
            part, index = divmod(shard, SHARDS_PER_PART)
            return _entry(self._part(part)[index])
        found = self._files.get(shard_name(shard))
        if found is None:
            raise CorruptStoreError(
                f"the manifest of {self._small.folder} does not list {shard_name(shard)}"
            )
        return found

    def file_bytes(self, shard: int) -> int:
        """Return the length of a shard's file; errors as of `entry`."""
        if not (self._in_parts and 0 <= shard < self._shards):
            return self.entry(shard).file_bytes
        part, index = divmod(shard, SHARDS_PER_PART)
        if part not in self._lengths:
            self._lengths[part] = self._read_part(part)["file_bytes"].copy()
        return int(self._lengths[part][index])

    def listed(self) -> np.ndarray:
        """Return the numbers of the shards that are listed, rising, int64."""
        return np.arange(self._shards)

    def files(self) -> int:
        """Return the number of all files of the split but manifest and group document."""
        return len(self._files) + (self._shards if self._in_parts else 0)

    def all_bytes(self) -> int:
        """Return the bytes of those files."""
        total = sum(entry.file_bytes for entry in self._files.values())
        if self._in_parts:
            parts = range(-(-self._shards // SHARDS_PER_PART))
            total += sum(int(self._read_part(part)["file_bytes"].sum()) for part in parts)
        return total

    def _read_part(self, part: int) -> np.ndarray:
        return np.frombuffer(self._small.read([part_name(part)])[0], _ENTRY)


def _entry(row: np.void) -> FileEntry:
    return FileEntry(int(row["file_bytes"]), bytes(row["sha256"]).hex())


def _check_shards(files: Mapping[str, FileEntry], shards: int, folder: AnyPath) -> None:
    """Refuse another number of shards than is listed, however many the attributes state."""
    listed = sum(shard_number(name) is not None for name in files)
    missing = next((s for s in range(min(shards, listed + 1)) if shard_name(s) not in files), None)
    if missing is not None:
        raise CorruptStoreError(
            f"the manifest of {folder} does not list {shard_name(missing)}, one of"
            f" {plural(shards, 'shard')}",
            RESTORE,
        )
    if listed != shards:
        raise CorruptStoreError(
            f"the manifest of {folder} states {plural(shards, 'shard')}, and lists {listed}",
            RESTORE,
        )


def _check_parts(files: Mapping[str, FileEntry], shards: int, folder: AnyPath) -> None:
    """Refuse other parts than there must be: no more is read or allocated than files hold."""
    if both := next((name for name in files if shard_number(name) is not None), None):
        raise CorruptStoreError(
            f"the manifest of {folder} lists {both}, which the files in {FOLDER}/ list", RESTORE
        )
    listed = sum(name.startswith(f"{FOLDER}/") for name in files)
    parts = -(-shards // SHARDS_PER_PART)
    lengths = {part_name(part): SHARDS_PER_PART for part in range(min(parts, listed))}
    if parts == listed and parts:
        lengths[part_name(parts - 1)] = shards - SHARDS_PER_PART * (parts - 1)
    if parts != listed or any(
        name not in files or files[name].file_bytes != length * _ENTRY.itemsize
        for name, length in lengths.items()
    ):
        raise CorruptStoreError(
            f"the manifest of {folder} states {shards} shards, and its {listed} files in"
            f" {FOLDER}/ list another number",
            RESTORE,
        )
