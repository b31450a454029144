"""The journal of finished shards in a bucket: objects of up to 64 entries, never changed.

Entries are lines of JSON; of a large split binary records, which are read again when they are
asked for.

Several processes may write segments at the same time: their names are unique. Segments are in a
folder named after the plan, so that no writer adds to the journal of another plan.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Generic, Self

from freqprep.errors import CorruptStoreError, LeaseLostError, ObjectStoreError
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.journal import Result, parsed_line
from freqprep.store.records import START_OVER, Header, RecordIndex, headers, record_of
from freqprep.store.stored_lengths import StoredLengths

_MOST_SHARDS = 64
_MOST_SECONDS = 60.0
_SEGMENTS_AT_ONCE = 256


class ObjectJournal(Generic[Result]):
    """The journal of an unfinished split in a bucket.

    Parameters
    ----------
    folder : ObjectPath
        Folder of the segments.
    kind : type
        Class of its entries: `ShardResult` for a conversion.
    stored : StoredLengths
        Files of the split. Entries of shards that are not there, or have another length, do not
        count: the shards are written again.
    confirm : callable
        From `freqprep.store.lock.store_lock`; called before a segment is put.
    large : bool
        Whether the split is large.
    clock : callable, optional
        Returns seconds.

    Attributes
    ----------
    finished : mapping of int to Entry
        Entry of each finished shard.
    """

    def __init__(
        self,
        folder: ObjectPath,
        kind: type[Result],
        stored: StoredLengths,
        confirm: Callable[[], None],
        large: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = _Records(kind, stored) if large else _Lines(kind, stored)
        self.finished: Mapping[int, Result] = self._entries.finished
        self._folder, self._confirm = folder, confirm
        self._clock, self._began = clock, clock()
        self._waiting: list[bytes] = []
        names = sorted(name for name, _ in folder.files())
        self._next = 1 + max((_number(folder, name) for name in names), default=-1)
        for first in range(0, len(names), _SEGMENTS_AT_ONCE):
            segments = [folder / name for name in names[first : first + _SEGMENTS_AT_ONCE]]
            for segment, data in zip(segments, for_each(_read, segments), strict=True):
                self._entries.add(segment, data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, LeaseLostError):
            return  # the split is another command's now, or finished
        # After an error the server may be out of reach: that error says more than a second one.
        with contextlib.suppress(*([ObjectStoreError, LeaseLostError] if kind else [])):
            self._flush()

    def append(self, result: Result) -> None:
        """Record a finished shard: durable with the segment, at the latest at the end."""
        self._waiting.append(self._entries.encoded(result))
        full = len(self._waiting) == _MOST_SHARDS
        if full or self._clock() - self._began >= _MOST_SECONDS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._confirm()
            name = f"{self._next:06d}-{secrets.token_hex(4)}{self._entries.suffix}"
            segment, data = self._folder / name, b"".join(self._waiting)
            segment.create(data)
            self._entries.put(segment, data)
            self._next += 1
            self._waiting.clear()
        self._began = self._clock()


class _Lines(Generic[Result]):
    """Entries as lines, all in memory."""

    suffix = ".jsonl"

    def __init__(self, kind: type[Result], stored: StoredLengths) -> None:
        self.finished: dict[int, Result] = {}
        self._kind, self._stored = kind, stored

    def add(self, segment: AnyPath, data: bytes) -> None:
        for line in data.splitlines():
            entry = parsed_line(line, self._kind, f"a line of the journal {segment}")
            if self._stored.has_shard(entry.shard, entry.file_bytes):
                self.finished[entry.shard] = entry

    def encoded(self, entry: Result) -> bytes:
        self.finished[entry.shard] = entry
        return json.dumps(entry.to_json(), separators=(",", ":")).encode() + b"\n"

    def put(self, segment: AnyPath, data: bytes) -> None:
        """Nothing is left to do for entries that are in memory."""


class _Records(Generic[Result]):
    """Entries as binary records, of which an index is in memory."""

    suffix = ".bin"

    def __init__(self, kind: type[Result], stored: StoredLengths) -> None:
        self.finished: RecordIndex[Result] = RecordIndex(kind, len(stored.shards))
        self._stored = stored

    def add(self, segment: AnyPath, data: bytes) -> None:
        source = self.finished.add_file(segment)
        for found in headers(data, f"the journal {segment}"):
            if not isinstance(found, Header):
                if found != len(data):
                    raise CorruptStoreError(f"the journal {segment} is cut off", START_OVER)
            elif self._stored.has_shard(found.shard, found.file_bytes):
                self.finished.add(source, found)

    def encoded(self, entry: Result) -> bytes:
        self.finished.add_fresh(entry)
        return record_of(entry)

    def put(self, segment: AnyPath, data: bytes) -> None:
        source = self.finished.add_file(segment)
        for found in headers(data, str(segment)):
            if isinstance(found, Header):
                self.finished.add(source, found)


def _read(path: AnyPath) -> bytes:
    return path.read_bytes()


def _number(folder: ObjectPath, name: str) -> int:
    try:
        return int(name.partition("-")[0])
    except ValueError:
        raise CorruptStoreError(
            f"{folder / name} is not a part of a journal", "remove it"
        ) from None
