"""The journal of finished shards of a large split in a folder: binary records, each synced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, Self, TypeAlias

from freqprep.errors import CorruptStoreError
from freqprep.progress import say
from freqprep.storage.disk import sync_folder
from freqprep.storage.regular_file import open_regular, open_to_append
from freqprep.store.journal import Journal, Result
from freqprep.store.plan import shard_count
from freqprep.store.records import (
    START_OVER,
    Header,
    RecordIndex,
    damaged,
    record_bytes,
    record_of,
    records_behind,
)
from freqprep.store.schema import is_large
from freqprep.text.quantities import plural


class RecordJournal(Generic[Result]):
    """The journal file, open for appending; see `freqprep.store.journal.Journal`.

    Parameters
    ----------
    path : Path
        Created if it does not exist; an end that was not written in full is cut off.
    kind : type
        Class of its entries.
    shards : int
        Number of shards of the split.
    others : iterable of Path
        Journals of other runs, which may be appending to them: only read, each as far as its
        records are whole.

    Attributes
    ----------
    finished : mapping of int to Entry
        Entry of each finished shard, read when it is asked for.

    Raises
    ------
    CorruptStoreError
        A record with others behind it is damaged, or one is of a shard that does not exist.
    """

    def __init__(
        self, path: Path, kind: type[Result], shards: int, others: Iterable[Path] = ()
    ) -> None:
        self.finished: RecordIndex[Result] = RecordIndex(kind, shards)
        self._file = open_to_append(path)
        try:
            for other in others:
                self.finished.add_all(other)
            self._length = self.finished.add_all(path)
            self._file.truncate(_kept(path, self._length))
        except BaseException:
            self._file.close()
            raise
        self._source = self.finished.add_file(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, result: Result) -> None:
        """Record a finished shard, durably."""
        record = record_of(result)
        self._file.write(record)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.finished.add(self._source, Header(self._length, result.shard, result.file_bytes))
        self._length += len(record)


def _kept(path: Path, complete: int) -> int:
    """Return how much of a journal is kept: its whole records.

    What a crash leaves behind them, or a power loss, which may be zeros, has no whole record. Else
    a record is damaged: that is an error, but where its length leads beyond the end, as that of a
    record that is cut off does, the records behind are made again.
    """
    with open(open_regular(path), "rb") as file:
        length = os.fstat(file.fileno()).st_size
        behind = records_behind(file, length, complete)
        file.seek(complete)
        leads_beyond = complete + record_bytes(file) > length
    if behind and not leads_beyond:
        what = f"its checksum does not match; behind it: {plural(behind, 'record')}"
        raise damaged(f"the journal {path}", complete, what)
    if behind:
        say(
            f"warning: the record at {complete} of the journal {path} is damaged: with it,"
            f" {plural(behind, 'record')} behind it are cut off, and their shards made again"
        )
    return complete


AnyJournal: TypeAlias = Journal[Result] | RecordJournal[Result]
"""The journal of a split in a folder: of a large one binary."""


def forget_lost(journal: AnyJournal[Result], length_of: Callable[[int], int]) -> list[int]:
    """Forget finished shards whose files have other lengths than were recorded.

    Parameters
    ----------
    journal : Journal or RecordJournal
    length_of : callable
        Length of the file of a shard.

    Returns
    -------
    list of int
        Their numbers.
    """
    finished = journal.finished
    stated = finished.file_bytes if isinstance(finished, RecordIndex) else _file_bytes(finished)
    lost = [shard for shard in finished if stated(shard) != length_of(shard)]
    if isinstance(finished, RecordIndex):
        finished.drop(lost)
    else:
        for shard in lost:
            del finished[shard]
    return lost


def _file_bytes(finished: Mapping[int, Result]) -> Callable[[int], int]:
    return lambda shard: finished[shard].file_bytes


def journal_suffix(images: int) -> str:
    """Return how the name of the journal of a split of so many images ends."""
    return ".bin" if is_large(images) else ".jsonl"


def open_journal(
    path: Path, kind: type[Result], images: int, others: Iterable[Path]
) -> AnyJournal[Result]:
    """Open the journal of a split of so many images; see `RecordJournal`."""
    open_to_append(path).close()
    sync_folder(path.parent)  # what is appended is synced; so must the name be
    if is_large(images):
        return RecordJournal(path, kind, shard_count(images), others)
    journal = Journal(path, kind, others)
    with contextlib.ExitStack() as after_an_error:
        after_an_error.enter_context(journal)
        refuse_beyond(journal.finished, shard_count(images), path)
        after_an_error.pop_all()
    return journal


def refuse_beyond(finished: Iterable[int], shards: int, path: Path) -> None:
    """Raise CorruptStoreError if a journal names a shard that the split does not have."""
    if (last := max(finished, default=-1)) >= shards:
        raise CorruptStoreError(
            f"the journal {path} is damaged (there is no shard {last} of {shards})", START_OVER
        )
