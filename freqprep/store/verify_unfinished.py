"""Checks of an unfinished split: its plan, its journals, and the shards that these name.

Nothing is written, and no lock is held: a conversion may be going on meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from freqprep.errors import CorruptStoreError
from freqprep.progress import Progress
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import open_regular
from freqprep.store.journal import ShardResult, read_entries
from freqprep.store.layout import partial_folders, shard_name
from freqprep.store.packed import PackedShard
from freqprep.store.plan import check_plan, shard_count
from freqprep.store.record_journal import journal_suffix, refuse_beyond
from freqprep.store.records import Header, damaged, entry_at, headers, records_behind
from freqprep.store.schema import is_large
from freqprep.store.verify import entry_of
from freqprep.store.verify_documents import MISSING, Problem


@dataclass(frozen=True)
class Unfinished:
    """State of an unfinished split.

    Attributes
    ----------
    split : str
    shards : int or None
        Of the finished split; None if there is no plan yet, or it cannot be read.
    finished : int
        Number of shards that the journals name, all of which were checked.
    checked : bool
        False in a bucket, where only a run that goes on reads what others have left.
    problems : list of Problem
    """

    split: str
    shards: int | None = None
    finished: int = 0
    checked: bool = True
    problems: list[Problem] = field(default_factory=list)


def verify_unfinished(store: AnyPath, split: str | None = None) -> list[Unfinished]:
    """Check the unfinished splits of a store, or one of them, against their journals.

    Parameters
    ----------
    store : Path or ObjectPath
        A store that can be listed.
    split : str, optional

    Returns
    -------
    list of Unfinished
        A split that is finished meanwhile is left out.
    """
    found = []
    for name, folder in partial_folders(store).items():
        if split not in (None, name):
            continue
        if not isinstance(folder, Path):
            found.append(Unfinished(name, checked=False))
            continue
        one = _checked(name, folder)
        if folder.is_dir():
            found.append(one)
    return found


def _checked(name: str, folder: Path) -> Unfinished:
    if not os.path.lexists(folder / "plan.json"):  # killed before its plan was written
        return Unfinished(name)
    try:
        attributes = check_plan(folder)
    except CorruptStoreError as error:
        return Unfinished(name, problems=[Problem(f"{folder.name}/plan.json", error.message)])
    shards = shard_count(attributes.images)
    kind = ShardResult if attributes.packed is None else PackedShard
    entries: dict[int, FileEntry] = {}
    problems = []
    for journal in sorted(folder.glob(f"journal*{journal_suffix(attributes.images)}")):
        try:
            for result in _results(journal, kind, shards, is_large(attributes.images)):
                entries[result.shard] = FileEntry(result.file_bytes, result.sha256)
        except CorruptStoreError as error:
            problems.append(Problem(f"{folder.name}/{journal.name}", error.message))
    with Progress(f"verify {name}, unfinished", len(entries), unit="shard") as progress:
        for shard, entry in sorted(entries.items()):
            there = entry_of(folder / "split" / shard_name(shard))
            if there != entry:
                what = "its hash is not the one in the journal" if there else MISSING
                problems.append(Problem(f"{folder.name}/split/{shard_name(shard)}", what))
            progress.update(1)
    return Unfinished(name, shards, len(entries), problems=problems)


def _results(
    journal: Path, kind: type[ShardResult] | type[PackedShard], shards: int, large: bool
) -> Iterator[ShardResult | PackedShard]:
    """Yield the shards that a journal names, while another process may be appending to it."""
    if not large:
        entries = read_entries(journal, kind)
        refuse_beyond(entries, shards, journal)
        yield from entries.values()
        return
    # Without an index of all shards: how many they are, nothing but the plan says.
    with open(open_regular(journal), "rb") as file:
        length = os.fstat(file.fileno()).st_size
        for found in headers(file, length):
            if not isinstance(found, Header):
                break
            if found.shard >= shards:
                raise damaged(str(journal), found.offset, f"there is no shard {found.shard}")
            yield entry_at(journal, found, kind)
        if isinstance(found, int) and records_behind(file, length, found):
            raise CorruptStoreError(f"the record at {found} is damaged")
