"""Writer of a split, beside the finished splits of the store until it is published.

In a bucket see `freqprep.store.object_writer`. In a folder an unfinished split is
``.partial-<split>``::

    plan.json, plan.npz     every row, fixed
    journal.jsonl           finished shards; journal.bin of a large split
    tmp-*/                  files being written, by this run only
    split/                  the split itself; renamed to its final path last

Each file is written aside, synced and renamed, so that a kill at any moment leaves a state from
which ``--resume`` ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.progress import say
from freqprep.storage.disk import (
    FileEntry,
    full_disk_named,
    refuse_links,
    sync_folder,
    write_parts,
)
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, walk_files
from freqprep.store.array_writer import Fill, SplitWriter
from freqprep.store.journal import Result
from freqprep.store.layout import (
    PARTIAL_PREFIX,
    REPLACED_PREFIX,
    shard_name,
    shard_number,
    shard_path,
)
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST
from freqprep.store.object_writer import PartialObjectSplit, while_there
from freqprep.store.part import Part
from freqprep.store.partial_tree import share_as, sync_tree
from freqprep.store.plan import load_attributes, shard_count
from freqprep.store.record_journal import (
    AnyJournal,
    forget_lost,
    journal_suffix,
    open_journal,
)
from freqprep.store.schema import SplitAttributes
from freqprep.store.stored_lengths import ABSENT
from freqprep.text.quantities import plural

_JOURNAL_PREFIX = "journal-"
_DISCARDED = "tmp-discarded-"


def write_shard(
    split_folder: AnyPath, index: int, parts: Iterable[bytes], aside: AnyPath
) -> FileEntry:
    """Write one shard.

    Parameters
    ----------
    split_folder : Path or ObjectPath
        Attribute ``split_folder`` of the unfinished split.
    index : int
        Number of the shard.
    parts : iterable of bytes
        Parts of the file, from `freqprep.store.shard`.
    aside : Path or ObjectPath
        From ``aside`` of the unfinished split.

    Returns
    -------
    FileEntry
        Length and hash of the file.
    """
    path = shard_path(split_folder, index)
    if isinstance(path, ObjectPath):
        return path.write(while_there(parts, aside))
    assert isinstance(aside, Path)  # both are, or neither
    aside.stat()  # without it the run is over, and its folders must not come back
    assert isinstance(split_folder, Path)
    refuse_links(split_folder, path.parent)
    with full_disk_named(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = write_parts(path, parts, aside)
        sync_shard_folders(path)
    return entry


def sync_shard_folders(path: Path) -> None:
    """Sync the folders of a shard's file, from the one above its own up to the split's."""
    for parent in list(path.parents)[1:6]:
        sync_folder(parent)


class PartialSplit:
    """Unfinished split of a store.

    Parameters
    ----------
    store : Path
        The store's root.
    split : str
    """

    def __init__(self, store: Path, split: str) -> None:
        self.store = store
        self.folder = store / f"{PARTIAL_PREFIX}{split}"
        self.split_folder = self.folder / "split"
        self.published = store / split
        self._replaced = store / f"{REPLACED_PREFIX}{split}"
        for folder in (self.split_folder, self._replaced):
            refuse_links(store, folder)

    def exists(self) -> bool:
        """Return whether there is an unfinished split with a plan to resume."""
        return (self.folder / "plan.json").is_file()

    def begun(self) -> bool:
        """Return whether there is an unfinished split, with or without a plan."""
        return self.split_folder.is_dir()

    def finished(self) -> bool:
        """Return whether the split is in the store."""
        return self.published.is_dir()

    def occupied(self) -> bool:
        """Return whether the split's path is taken."""
        return self.published.exists()

    def start(self) -> None:
        """Create the folders; call `discard` first."""
        refuse_links(self.store, self.published)
        self.split_folder.mkdir(parents=True)
        sync_folder(self.store)
        share_as(self.split_folder, self.store)

    def discard(self) -> None:
        """Remove the unfinished split.

        Its shards' folder first, at once: a kill may not leave a journal of shards that are gone,
        and without that folder `tidy` removes the rest.
        """
        if self.split_folder.is_dir():
            os.rename(self.split_folder, self.folder / f"{_DISCARDED}{secrets.token_hex(8)}")
            sync_folder(self.folder)
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def tidy(self) -> None:
        """Finish a publication that was interrupted, and remove incomplete files."""
        if self.published.is_dir() and self._replaced.is_dir():
            shutil.rmtree(self._replaced)
        if self.folder.is_dir() and not self.split_folder.is_dir():
            self.discard()
        for left_over in self.folder.glob("tmp-*"):
            shutil.rmtree(left_over)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Path]:
        """Create a folder for files being written by this run, removed at the end.

        Workers of a killed run may still be busy; their files are in a folder of their own, which
        `tidy` removes, so that they can no longer rename a file into the split.
        """
        folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=self.folder))
        share_as(folder, self.store)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def journal(self, kind: type[Result]) -> AnyJournal[Result]:
        """Open the journal of finished shards; what parts have finished is in it, too.

        Shards whose files are gone or cut off are not: they are made again.
        """
        images = load_attributes(self.folder).images
        return self._without_lost(self.journal_of(kind, images, self._part_journals(images)))

    def journal_of(
        self, kind: type[Result], images: int, others: Iterable[Path] = ()
    ) -> AnyJournal[Result]:
        """Open the journal of a split of so many images, before it has a plan."""
        return open_journal(self.folder / f"journal{journal_suffix(images)}", kind, images, others)

    def part_journal(self, kind: type[Result], part: Part) -> AnyJournal[Result]:
        """Open a new journal for a run that makes one part of the shards, beside other runs.

        Of the others' journals, those that may have shards of this part are read.
        """
        images = load_attributes(self.folder).images
        suffix, parts = journal_suffix(images), self._part_journals(images)
        concerned = (path for path, one in parts.items() if one.overlaps(part))
        name = f"{_JOURNAL_PREFIX}{part.label}-{secrets.token_hex(8)}{suffix}"
        others = filter(Path.exists, (self.folder / f"journal{suffix}", *concerned))
        return self._without_lost(open_journal(self.folder / name, kind, images, others))

    def _without_lost(self, journal: AnyJournal[Result]) -> AnyJournal[Result]:
        if lost := forget_lost(journal, self._shard_bytes):
            say(
                f"warning: {self.published.name}: of {plural(len(lost), 'finished shard')} the file"
                f" is missing or cut off, and made again: first {shard_name(min(lost))}"
            )
        return journal

    def parts_begun(self) -> set[Part]:
        """Return the parts that have a journal."""
        return set(self._part_journals(load_attributes(self.folder).images).values())

    def _part_journals(self, images: int) -> dict[Path, Part]:
        found = {}
        for path in sorted(self.folder.glob(f"{_JOURNAL_PREFIX}*-*{journal_suffix(images)}")):
            if part := Part.named(path.name.removeprefix(_JOURNAL_PREFIX)):
                found[path] = part
        return found

    def carry_over(self) -> Path:
        """Create a folder for shards that are already done, for `start_with`.

        Until `start_with`, the split has not begun: a kill leaves the finished split as it is.
        """
        folder = self.folder / "carried"
        folder.mkdir(parents=True)
        return folder

    def start_with(self, carried: Path) -> None:
        """Start with the shards in the folder that `carry_over` created."""
        os.rename(carried, self.split_folder)
        sync_folder(self.folder)

    def publish(self, attributes: SplitAttributes, fill: Fill) -> str:
        """Write everything except the shards, hash it, and rename the split to its final path.

        Parameters
        ----------
        attributes : SplitAttributes
            Those of the plan.
        fill : callable
            Appends all arrays, and length and hash of the shards, to a `SplitWriter`; returns the
            final attributes.

        Returns
        -------
        str
            Content id of the split.
        """
        self._remove_small_files(shard_count(attributes.images))
        writer = SplitWriter(self.split_folder, attributes)
        written = writer.finish(fill(writer))
        self._check_shards(written.shard_bytes)
        with self.aside() as aside:
            write_parts(self.split_folder / MANIFEST, [written.manifest_bytes], aside)
            write_parts(self.split_folder / GROUP_DOCUMENT, [written.group_document], aside)
        sync_tree(self.split_folder)
        self._swap_in()
        return written.content_id

    def _check_shards(self, lengths: np.ndarray) -> None:
        for shard, length in enumerate(lengths.tolist()):
            found = self._shard_bytes(shard)
            if found != length:
                what = f"has {found} bytes, journalled {length}" if found >= 0 else "is missing"
                path = shard_path(self.split_folder, shard)
                raise CorruptStoreError(f"{path} {what}", "make it again with --resume")

    def _shard_bytes(self, shard: int) -> int:
        """Return the length of a shard's file; -1 if there is none."""
        try:
            return shard_path(self.split_folder, shard).stat().st_size
        except FileNotFoundError:
            return ABSENT

    def _remove_small_files(self, shards: int) -> None:
        """Remove what an interrupted publication has written, and what is no shard of the plan."""
        for path in walk_files(self.split_folder):
            shard = shard_number(path)
            if shard is None or shard >= shards:
                (self.split_folder / path).unlink()

    def _swap_in(self) -> None:
        if self.published.exists():
            if self._replaced.is_dir():
                shutil.rmtree(self._replaced)
            os.rename(self.published, self._replaced)
        os.rename(self.split_folder, self.published)
        sync_folder(self.store)
        self.tidy()
        sync_folder(self.store)


UnfinishedSplit = PartialSplit | PartialObjectSplit
"""An unfinished split, in a folder or in a bucket."""


def unfinished_split(
    store: AnyPath, split: str, confirm: Callable[[], None] = lambda: None
) -> UnfinishedSplit:
    """Return the unfinished split of a name, begun or not.

    Parameters
    ----------
    store : Path or ObjectPath
        The store's root.
    split : str
    confirm : callable, optional
        From `freqprep.store.lock.store_lock`; needed to write.

    Returns
    -------
    PartialSplit or PartialObjectSplit
    """
    if isinstance(store, ObjectPath):
        return PartialObjectSplit(store, split, confirm)
    return PartialSplit(store, split)
