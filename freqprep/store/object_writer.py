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
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from freqprep.errors import CorruptStoreError, LeaseLostError, ObjectStoreError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry, full_disk_named
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.array_writer import write_arrays
from freqprep.store.cleanup import clean_up
from freqprep.store.journal import Result
from freqprep.store.layout import PARTIAL_PREFIX
from freqprep.store.lease import create_alone
from freqprep.store.manifest import (
    GROUP_DOCUMENT,
    MANIFEST,
    Manifest,
    read_manifest,
)
from freqprep.store.object_journal import ObjectJournal
from freqprep.store.part import Part
from freqprep.store.plan import load_attributes
from freqprep.store.schema import ArraySpec, SplitAttributes


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
        create_alone(self._begun, b"")
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
        manifest, _ = read_manifest(self.split_folder)
        planned = load_attributes(self.folder).to_dict()
        stored = dict(self.split_folder.files())
        return {**manifest.attributes, "rejected": 0} == {**planned, "rejected": 0} and all(
            stored.get(name) == entry.file_bytes for name, entry in manifest.files.items()
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
        return ObjectJournal(folder, kind, segments, self._lengths, self._confirm)

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
        mine = folder / part.label
        return ObjectJournal(mine, kind, segments, self._lengths_of_few, self._confirm)

    def parts_begun(self) -> set[Part]:
        """Return the parts that have recorded a shard."""
        return set(filter(None, map(Part.named, self._journals().folders())))

    def _journals(self) -> ObjectPath:
        """Return the folder of the segments of this plan; a folder of each part is in it."""
        plan = hashlib.sha256(self._plan.read_bytes()).hexdigest()[:16]
        return self.folder / f"journal-{plan}"

    def _lengths(self, names: Iterable[str]) -> dict[str, int]:
        """Return the lengths of the split's objects by name, from one list of all."""
        return dict(self.split_folder.files())

    def _lengths_of_few(self, names: Iterable[str]) -> dict[str, int]:
        """Return the lengths of some objects of the split, by a request for each."""
        paths = {self.split_folder / name: name for name in names}
        lengths = zip(paths.values(), for_each(_length, list(paths)), strict=True)
        return {name: length for name, length in lengths if length is not None}

    def publish(
        self,
        attributes: SplitAttributes,
        arrays: Mapping[str, np.ndarray],
        specs: Mapping[str, ArraySpec],
        shards: Mapping[str, FileEntry],
    ) -> str:
        """Put all that is not a shard, the manifest last; see `PartialSplit.publish`.

        Parameters
        ----------
        attributes : SplitAttributes
        arrays : mapping of str to ndarray
            The small arrays.
        specs : mapping of str to ArraySpec
        shards : mapping of str to FileEntry
            Path of each shard relative to the split -> length and hash.

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
        with tempfile.TemporaryDirectory(prefix="freqprep-") as name:
            folder = Path(name)
            with full_disk_named(folder):
                written = write_arrays(folder, attributes, arrays, specs, shards)
            self._put(folder, written.manifest.files.keys() - shards.keys())
        (self.split_folder / GROUP_DOCUMENT).write([written.group_document])
        self._match(written.manifest, len(written.group_document))
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

    def _match(self, manifest: Manifest, document_bytes: int) -> None:
        """Remove objects that the manifest does not list; miss none of those it lists."""
        found = dict(self.split_folder.files())
        stated = {name: entry.file_bytes for name, entry in manifest.files.items()}
        stated[GROUP_DOCUMENT] = document_bytes
        for name in found.keys() - stated.keys() - {MANIFEST}:
            (self.split_folder / name).delete()
        for name, length in stated.items():
            if found.get(name) != length:
                raise CorruptStoreError(
                    f"{self.split_folder / name}: {found.get(name, 'no')} bytes, written {length}",
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
