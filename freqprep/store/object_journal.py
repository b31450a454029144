"""The journal of finished shards in a bucket: objects of up to 64 entries, never changed.

Entries are lines; of a large split binary records, which are read again when they are
asked for.

Several processes may write segments at the same time: their names are unique. Segments are in a
folder named after the plan, so that no writer adds to the journal of another plan; those of a part
of the shards in a folder of that part, so that other parts need not read them.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Self

from freqprep.errors import CorruptStoreError, LeaseLostError
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.cleanup import clean_up
from freqprep.store.journal import Result, line_of, parsed_line
from freqprep.store.records import Header, RecordIndex, damaged, headers, record_of
from freqprep.store.stored_lengths import StoredLengths
from freqprep.text.quantities import plural

_MOST_SHARDS = 64
_MOST_SECONDS = 60.0
_SEGMENTS_AT_ONCE = 256


class ObjectJournal(Generic[Result]):
    """The journal of an unfinished split in a bucket.

    Parameters
    ----------
    folder : ObjectPath
        Where new segments are put.
    kind : type
        Class of its entries: `ShardResult` for a conversion.
    segments : iterable of ObjectPath
        Those that are read, of this folder and of others.
    shards : int
        Number of shards of the split.
    lengths : callable
        Returns the lengths of the files of shards, by the numbers that it is given, and may return
        more. Entries of shards that are not there, or have another length, do not count: the
        shards are written again.
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
        segments: Iterable[ObjectPath],
        shards: int,
        lengths: Callable[[Sequence[int]], StoredLengths],
        confirm: Callable[[], None],
        large: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = _Records(kind, shards) if large else _Lines(kind)
        self.finished: Mapping[int, Result] = self._entries.finished
        self._folder, self._confirm = folder, confirm
        self._clock, self._began = clock, clock()
        self._waiting: list[bytes] = []
        found = sorted(segments)
        self._next = 1 + max(map(_number, found), default=-1)
        for first in range(0, len(found), _SEGMENTS_AT_ONCE):
            some = found[first : first + _SEGMENTS_AT_ONCE]
            for segment, data in zip(some, for_each(_read, some), strict=True):
                self._entries.add(segment, data)
        if self.finished:
            self._entries.keep_only(lengths(list(self.finished)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._flush()
        elif self._waiting and not isinstance(error, LeaseLostError):  # else it is another's now
            left = f"not recorded, to be made again: {plural(len(self._waiting), 'shard')}"
            clean_up(error, self._flush, left)

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

    def __init__(self, kind: type[Result]) -> None:
        self.finished: dict[int, Result] = {}
        self._kind = kind

    def add(self, segment: AnyPath, data: bytes) -> None:
        for line in data.splitlines():
            entry = parsed_line(line, self._kind, f"a line of the journal {segment}")
            self.finished[entry.shard] = entry

    def keep_only(self, there: StoredLengths) -> None:
        entries = list(self.finished.values())
        self.finished.clear()
        kept = (entry for entry in entries if there.has_shard(entry.shard, entry.file_bytes))
        self.finished.update((entry.shard, entry) for entry in kept)

    def encoded(self, entry: Result) -> bytes:
        self.finished[entry.shard] = entry
        return line_of(entry)

    def put(self, segment: AnyPath, data: bytes) -> None:
        """Nothing is left to do for entries that are in memory."""


class _Records(Generic[Result]):
    """Entries as binary records, of which an index is in memory."""

    suffix = ".bin"

    def __init__(self, kind: type[Result], shards: int) -> None:
        self.finished: RecordIndex[Result] = RecordIndex(kind, shards)

    def add(self, segment: AnyPath, data: bytes) -> None:
        source = self.finished.add_file(segment)
        for found in headers(io.BytesIO(data), len(data)):
            if isinstance(found, Header):
                self.finished.add(source, found)
            elif found != len(data):
                raise damaged(f"the journal {segment}", found, "it is cut off or changed")

    def keep_only(self, there: StoredLengths) -> None:
        found = self.finished
        found.drop([s for s in found if not there.has_shard(s, found.file_bytes(s))])

    def encoded(self, entry: Result) -> bytes:
        self.finished.add_fresh(entry)
        return record_of(entry)

    def put(self, segment: AnyPath, data: bytes) -> None:
        self.add(segment, data)


def _read(path: AnyPath) -> bytes:
    return path.read_bytes()


def _number(segment: ObjectPath) -> int:
    try:
        return int(segment.name.partition("-")[0])
    except ValueError:
        raise CorruptStoreError(f"{segment} is not a part of a journal", "remove it") from None
