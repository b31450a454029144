"""The journal of finished shards in a bucket: objects of up to 64 lines, never changed.

Several processes may write segments at the same time: their names are unique. Segments are in a
folder named after the plan, so that no writer adds to the journal of another plan; those of a part
of the shards in a folder of that part, so that other parts need not read them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Self

from freqprep.errors import CorruptStoreError, LeaseLostError
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.cleanup import clean_up
from freqprep.store.journal import Result, parsed_line
from freqprep.store.layout import shard_name
from freqprep.text.quantities import plural

_MOST_SHARDS = 64
_MOST_SECONDS = 60.0


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
    lengths : callable
        Returns the lengths of objects of the split, by the names that it is given, and may return
        more. Entries of shards that are not there, or have another length, do not count: the
        shards are written again.
    confirm : callable
        From `freqprep.store.lock.store_lock`; called before a segment is put.
    clock : callable, optional
        Returns seconds.

    Attributes
    ----------
    finished : dict of int to Entry
        Entry of each finished shard.
    """

    def __init__(
        self,
        folder: ObjectPath,
        kind: type[Result],
        segments: Iterable[ObjectPath],
        lengths: Callable[[Iterable[str]], Mapping[str, int]],
        confirm: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.finished: dict[int, Result] = {}
        self._folder, self._confirm = folder, confirm
        self._clock, self._began = clock, clock()
        self._waiting: list[bytes] = []
        found = sorted(segments)
        self._next = 1 + max(map(_number, found), default=-1)
        entries = []
        for segment, data in zip(found, for_each(_read, found), strict=True):
            where = f"a line of the journal {segment}"
            entries += [parsed_line(line, kind, where) for line in data.splitlines()]
        there = lengths({shard_name(entry.shard) for entry in entries}) if entries else {}
        for entry in entries:
            if there.get(shard_name(entry.shard)) == entry.file_bytes:
                self.finished[entry.shard] = entry

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
        line = json.dumps(result.to_json(), separators=(",", ":"))
        self._waiting.append(line.encode() + b"\n")
        self.finished[result.shard] = result
        full = len(self._waiting) == _MOST_SHARDS
        if full or self._clock() - self._began >= _MOST_SECONDS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._confirm()
            name = f"{self._next:06d}-{secrets.token_hex(4)}.jsonl"
            (self._folder / name).create(b"".join(self._waiting))
            self._next += 1
            self._waiting.clear()
        self._began = self._clock()


def _read(path: AnyPath) -> bytes:
    return path.read_bytes()


def _number(segment: ObjectPath) -> int:
    try:
        return int(segment.name.partition("-")[0])
    except ValueError:
        raise CorruptStoreError(f"{segment} is not a part of a journal", "remove it") from None
