"""Writer of a split in a bucket, where nothing can be renamed.

An unfinished split is objects under two prefixes::

    .partial-<split>/begun                    first of all
    .partial-<split>/plan.npz, plan.json      every row, fixed
    .partial-<split>/journal-<plan>/*.jsonl   finished shards; part-I-of-N/*.jsonl: of a part
    .partial-<split>/run-*                    one for each run that may write
    <split>/coefficients/c/...                shards, at their final keys

The small arrays, ``zarr.json`` and last ``manifest.json`` follow. The manifest makes the split
readable: without it there is none, whatever else is there. After it ``.partial-<split>/`` is
removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from freqprep.errors import OUTSIDE, CorruptStoreError, LeaseLostError, ObjectStoreError, StoreError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import full_disk_named
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.temporary import temporary_folder
from freqprep.store.array_writer import Fill, SplitWriter, WrittenArrays
from freqprep.store.cleanup import clean_up
from freqprep.store.journal import Result
from freqprep.store.layout import PARTIAL_PREFIX, shard_name, shard_number
from freqprep.store.lease import create_alone
from freqprep.store.manifest import (
    GROUP_DOCUMENT,
    MANIFEST,
    read_manifest,
)
from freqprep.store.object_journal import ObjectJournal
from freqprep.store.part import Part
from freqprep.store.plan import load_attributes, shard_count
from freqprep.store.schema import SplitAttributes, is_large
from freqprep.store.shard_table import ShardTable
from freqprep.store.small_arrays import SmallFiles
from freqprep.store.stored_lengths import ABSENT, StoredLengths


class PartialObjectSplit:
    """Unfinished split of a store in a bucket; see `freqprep.store.writer.PartialSplit`.

    Parameters
    ----------
    store : ObjectPath
    split : str
    confirm : callable
        From `freqprep.store.lock.store_lock`.
    """

    def __init__(self, store: ObjectPath, split: str, confirm: Callable[[], None]) -> None:
        self.folder = store / f"{PARTIAL_PREFIX}{split}"
        self.split_folder = store / split
        self._plan = self.folder / "plan.json"
        self._begun = self.folder / "begun"
        self._manifest = self.split_folder / MANIFEST
        self._confirm = confirm

    def exists(self) -> bool:
        """Return whether there is an unfinished split with a plan to resume."""
        return self._plan.is_file()

    def begun(self) -> bool:
        """Return whether there is an unfinished split, with or without a plan."""
        return self._begun.is_file()

    def finished(self) -> bool:
        """Return whether the split is in the store."""
        return self._manifest.is_file()

    def occupied(self) -> bool:
        """Return whether the split's folder has objects that are not of an unfinished split."""
        return self.finished() or (self.split_folder.is_dir() and not self.begun())

    def start(self) -> None:
        """Remove the split that is there, its manifest first; call `discard` before.

        From here on, readers of that split miss its shards.
        """
        self._confirm()
        create_alone(self._begun, secrets.token_hex(8).encode())
        self._manifest.delete()
        self.split_folder.delete_below(self._confirm)

    def discard(self) -> None:
        """Remove the unfinished split, but for shards, which `start` removes."""
        self._confirm()  # planning may have taken long
        self._plan.delete()
        self.folder.delete_below(self._confirm)

    def tidy(self) -> None:
        """Finish a publication that was interrupted, and stop the workers of earlier runs."""
        self._confirm()
        if self.finished() and self.exists():  # `start` left no manifest before the plan
            if self._is_of_the_plan():
                self._remove_finished_plan()
            else:  # put by a command that had lost its lease
                self._manifest.delete()
        elif self.finished() and not self.begun():  # results of a part that came too late
            self.folder.delete_below(self._confirm)
        for name, _ in list(self.folder.files()):
            if name.startswith("run-"):
                (self.folder / name).delete()

    def _is_of_the_plan(self) -> bool:
        """Return whether the manifest is that of the planned split, and its objects are there."""
        manifest, identity = read_manifest(self.split_folder)
        attributes = load_attributes(self.folder)
        planned, shards = attributes.to_dict(), shard_count(attributes.images)
        if {**manifest.attributes, "rejected": 0} != {**planned, "rejected": 0}:
            return False
        stored = StoredLengths(self.split_folder.files(), shards)
        try:
            table = ShardTable(SmallFiles(self.split_folder, manifest, identity), shards)
            lengths = np.array([table.file_bytes(shard) for shard in range(shards)], np.int64)
        except OUTSIDE:
            raise
        except StoreError:
            return False
        return np.array_equal(stored.shards, lengths) and all(
            stored.others.get(name) == entry.file_bytes
            for name, entry in manifest.files.items()
            if shard_number(name) is None
        )

    @contextlib.contextmanager
    def aside(self) -> Iterator[ObjectPath]:
        """Create an object without which workers of this run write no shard.

        Workers of a killed run may still be busy; `tidy` removes the object of their run, so that
        they can no longer put a shard into the split.
        """
        run = self.folder / f"run-{secrets.token_hex(8)}"
        create_alone(run, b"")
        try:
            self._confirm()  # else `tidy` of the next run may have come before
            yield run
        except BaseException as error:
            clean_up(error, run.delete, f"{run} stays")
            raise
        with contextlib.suppress(ObjectStoreError):  # the next run removes it
            run.delete()

    def journal(self, kind: type[Result]) -> ObjectJournal[Result]:
        """Open the journal; shards that are not there as it says do not count as finished."""
        folder = self._journals()
        segments = [folder / name for name, _ in folder.files()]
        return self._journal(folder, kind, segments, self._lengths)

    def part_journal(self, kind: type[Result], part: Part) -> ObjectJournal[Result]:
        """Open the journal for a run that makes one part of the shards, beside other runs.

        Read are the segments of runs that made all shards, and of parts that may have some of
        these.
        """
        folder = self._journals()
        parts = {name: Part.named(name) for name in folder.entries()}
        segments = []
        for name, one in parts.items():
            if one is None:
                segments.append(folder / name)
            elif one.overlaps(part):
                segments += [folder / name / segment for segment, _ in (folder / name).files()]
        return self._journal(folder / part.label, kind, segments, self._lengths_of_few)

    def parts_begun(self) -> set[Part]:
        """Return the parts that have recorded a shard."""
        return set(filter(None, map(Part.named, self._journals().folders())))

    def _journals(self) -> ObjectPath:
        """Return the folder of the segments of this plan; a folder of each part is in it."""
        plan = hashlib.sha256(self._plan.read_bytes()).hexdigest()[:16]
        return self.folder / f"journal-{plan}"

    def _journal(
        self,
        folder: ObjectPath,
        kind: type[Result],
        segments: Iterable[ObjectPath],
        lengths: Callable[[Sequence[int], int], StoredLengths],
    ) -> ObjectJournal[Result]:
        images = load_attributes(self.folder).images
        shards = shard_count(images)

        def lengths_of(some: Sequence[int]) -> StoredLengths:
            return lengths(some, shards)

        large = is_large(images)
        return ObjectJournal(folder, kind, segments, shards, lengths_of, self._confirm, large)

    def _lengths(self, some: Sequence[int], shards: int) -> StoredLengths:
        """Return the lengths of all shards, from one list."""
        return StoredLengths(self.split_folder.files(), shards)

    def _lengths_of_few(self, some: Sequence[int], shards: int) -> StoredLengths:
        """Return the lengths of some shards, by a request for each."""
        names = list(map(shard_name, some))
        found = zip(names, for_each(_length, [self.split_folder / n for n in names]), strict=True)
        there = ((name, length) for name, length in found if length is not None)
        return StoredLengths(there, shards)

    def publish(self, attributes: SplitAttributes, fill: Fill) -> str:
        """Put all that is not a shard, the manifest last; see `PartialSplit.publish`.

        Parameters
        ----------
        attributes : SplitAttributes
        fill : callable

        Returns
        -------
        str
            Content id of the split.

        Raises
        ------
        CorruptStoreError
            An object is missing or has another length than the manifest states.
        LeaseLostError
            Another process writes to the store: nothing was published.
        """
        self._confirm()
        with temporary_folder() as folder:
            with full_disk_named(folder):
                writer = SplitWriter(folder, attributes)
                written = writer.finish(fill(writer))
            self._put(folder, [n for n in written.manifest.files if shard_number(n) is None])
        (self.split_folder / GROUP_DOCUMENT).write([written.group_document])
        self._match(written)
        self._confirm()
        create_alone(self._manifest, written.manifest_bytes)
        self._confirm()
        self._remove_finished_plan()
        return written.content_id

    def _put(self, folder: Path, names: Iterable[str]) -> None:
        """Put small files of a local folder, several at a time."""
        files = {self.split_folder / name: folder / name for name in names}
        for _ in for_each(lambda path: path.write([files[path].read_bytes()]), list(files)):
            pass

    def _match(self, written: WrittenArrays) -> None:
        """Remove objects that the manifest does not list; miss none of those it lists."""
        found = StoredLengths(self.split_folder.files(), len(written.shard_bytes))
        files = written.manifest.files.items()
        stated = {name: entry.file_bytes for name, entry in files if shard_number(name) is None}
        stated[GROUP_DOCUMENT] = len(written.group_document)
        for name in found.others.keys() - stated.keys() - {MANIFEST}:
            (self.split_folder / name).delete()
        for name, length in stated.items():
            self._refuse_other(name, found.others.get(name, ABSENT), length)
        for shard in np.flatnonzero(found.shards != written.shard_bytes)[:1].tolist():
            lengths = int(found.shards[shard]), int(written.shard_bytes[shard])
            self._refuse_other(shard_name(shard), *lengths)

    def _refuse_other(self, name: str, found: int, written: int) -> None:
        if found != written:
            raise CorruptStoreError(
                f"{self.split_folder / name}: {'no' if found == ABSENT else found} bytes,"
                f" written {written}",
                "run again with --resume, once no other command writes to the store",
            )

    def _remove_finished_plan(self) -> None:
        """Remove the unfinished split after its publication, the plan last.

        A plan beside a manifest says to a later run that the publication was complete.
        """
        for name, _ in list(self.folder.files()):
            if name != self._plan.name:
                (self.folder / name).delete()
        self._plan.delete()


def _length(path: ObjectPath) -> int | None:
    try:
        return path.size()
    except FileNotFoundError:
        return None


def while_there(parts: Iterable[bytes], aside: AnyPath) -> Iterator[bytes]:
    """Yield the parts of a shard; fail before the end if the object of this run was removed.

    Parameters
    ----------
    parts : iterable of bytes
    aside : ObjectPath
        From `PartialObjectSplit.aside`.

    Raises
    ------
    LeaseLostError
        Another run has taken over the split.
    """
    yield from parts
    if not aside.is_file():
        raise LeaseLostError(
            f"another command has taken over the split that {aside} was writing",
            "wait for it, or run again with --resume",
        )
