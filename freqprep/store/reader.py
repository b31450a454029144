"""Reading a store: ``open_store(path)["train"].read(rows, channels)``."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping

from freqprep.errors import (
    CorruptStoreError,
    UnknownSplitError,
    UsageError,
    did_you_mean,
)
from freqprep.storage.concurrency import for_each
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, as_path, folder_names
from freqprep.store.keys import Keys
from freqprep.store.layout import partial_folders
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, check_root
from freqprep.store.split import Split
from freqprep.text.quantities import plural
from freqprep.text.terminal import quoted, read_escapes

__all__ = ["Keys", "Split", "Store", "find_row", "open_store", "reopen"]

_own = threading.local()


def open_store(path: str | AnyPath) -> Store:
    """Open a store for reading.

    Parameters
    ----------
    path : str, Path or ObjectPath
        Folder, or URL: ``s3://bucket/photos.zarr``, ``gs://``, ``az://``, ``http(s)://``. A URL is
        given as a str, for a Path would change it.

    Returns
    -------
    Store
        Mapping of names to finished splits.

    Raises
    ------
    StoreError
        The path is not a freqprep store, or does not exist.
    FormatVersionError
        The store's format is newer, or of another major version.
    ObjectStoreError
        The server of a bucket refuses, or cannot be reached.
    MissingPackageError
        obstore, which reads from buckets, is not installed.
    """
    return Store(path)


def reopen(path: AnyPath, content_id: str) -> Split:
    """Return a split, opened once per thread.

    For workers: reading a large split's manifest and small arrays for every shard is slow.

    Parameters
    ----------
    path : Path or ObjectPath
        Folder of the split.
    content_id : str
        Content id that the work was started with.

    Returns
    -------
    Split

    Raises
    ------
    CorruptStoreError
        The split has another content id.
    """
    split: Split | None = getattr(_own, "split", None)
    if split is None or (split.path, split.content_id) != (path, content_id):
        split = Split(path)
        if split.content_id != content_id:
            raise CorruptStoreError(
                f"{path} was replaced while it was read", "run the command again"
            )
        _own.split = split
    return split


def _is_file(path: AnyPath) -> bool:
    return path.is_file()


class Store(Mapping[str, "Split"]):
    """Open store: mapping of names to finished splits, sorted by name.

    The splits of a store on a web server must be named: it cannot list them.

    Parameters
    ----------
    path : str, Path or ObjectPath
    checked : bool, optional
        Whether to refuse a path without a store's document; not where that is to be repaired.

    Attributes
    ----------
    path : Path or ObjectPath
    listed : bool
        Whether its files can be listed.
    """

    def __init__(self, path: str | AnyPath, checked: bool = True) -> None:
        self.path = path = as_path(path)
        if checked:
            check_root(path)
        self.listed = not (isinstance(path, ObjectPath) and path.is_web)
        names = self._folders_with(MANIFEST) if self.listed else ()
        self._splits: dict[str, Split | None] = dict.fromkeys(names)

    def _folders_with(self, document: str) -> list[str]:
        """Return the names of folders that may be splits and have a document, sorted."""
        names = [name for name in folder_names(self.path) if not name.startswith(".")]
        paths = [self.path / name / document for name in names]
        there = zip(names, for_each(_is_file, paths), strict=True)
        return [name for name, found in there if found]

    def __getitem__(self, name: str) -> Split:
        if name not in self._splits and not self._is_there(name):
            raise UnknownSplitError(
                f"{self.path} has no finished split {name!r}{self._being_written()}",
                self._known(name),
            )
        split = self._splits.get(name)
        if split is None:
            split = self._splits[name] = Split(self.path / name)
        return split

    def only(self, name: str | None) -> Split:
        """Return the named split, or the only one if no name is given.

        Raises
        ------
        UsageError
            No name is given, and the store does not have exactly one split.
        UnknownSplitError
            There is no finished split of that name.
        """
        if name is None and (not self.listed or len(self) != 1):
            self._check_listed()
            if not self._splits:
                raise UsageError(
                    f"{self.path} has no finished split{self._being_written()}",
                    "" if self.unfinished else "make one with `freqprep convert`",
                )
            raise UsageError(
                f"{self.path} has {plural(len(self), 'split')}{self._being_written()}",
                f"name one of: {', '.join(self._splits)}",
            )
        return self[next(iter(self)) if name is None else name]

    def chosen(self, name: str | None) -> dict[str, Split]:
        """Return the named split, or all if no name is given; errors as for a single one."""
        return dict(self) if name is None else {name: self[name]}

    @property
    def unfinished(self) -> list[str]:
        """Names of splits that are being written, or whose conversion was interrupted."""
        return list(partial_folders(self.path)) if self.listed else []

    @property
    def incomplete(self) -> list[str]:
        """Names of splits without a manifest, as an incomplete copy leaves them."""
        found = self._folders_with(GROUP_DOCUMENT) if self.listed else []
        return [name for name in found if name not in {*self._splits, *self.unfinished}]

    def _being_written(self) -> str:
        """Return a note on splits that are not finished; empty if there are none."""
        remarks = []
        if names := ", ".join(self.unfinished):
            remarks.append(
                f"{names} is still being written, or was cut off: resume it with --resume"
            )
        if names := ", ".join(self.incomplete):
            remarks.append(f"{names} has no {MANIFEST}: the copy is incomplete")
        return f" ({'; '.join(remarks)})" if remarks else ""

    def _is_there(self, name: str) -> bool:
        """Return whether a store that cannot be listed has a split of a name."""
        may_be = not self.listed and name and name[0] != "." and "/" not in name
        return bool(may_be) and (self.path / name / MANIFEST).is_file()

    def _known(self, name: str) -> str:
        """Return what to do if there is no split of a name."""
        if not self.listed:
            return "check the name; a web server cannot list those that there are"
        return f"{did_you_mean(name, self._splits)}it has: {', '.join(self._splits) or 'none'}"

    def _check_listed(self) -> None:
        if not self.listed:
            raise UsageError(
                f"the splits of {self.path} cannot be listed: it is on a web server",
                "name the split, or read the store from a bucket or a folder",
            )

    def __iter__(self) -> Iterator[str]:
        self._check_listed()
        return iter(self._splits)

    def __len__(self) -> int:
        self._check_listed()
        return len(self._splits)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, splits={list(self._splits)})"


def find_row(split: Split, text: str) -> int:
    r"""Find a row by its number or its key.

    Parameters
    ----------
    split : Split
    text : str
        Number, negative ones counting from the end, or key of the row, also as it is printed:
        with escapes such as ``\x1b`` for what cannot be printed.

    Returns
    -------
    int

    Raises
    ------
    UsageError
        There is no such row.
    """
    if re.fullmatch(r"-?[0-9]+", text):
        row = int(text)
        if -len(split) <= row < len(split):
            return row % len(split)
        raise UsageError(f"row {row} is outside 0..{len(split) - 1} of {split.path}")
    wanted = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    printed, found = read_escapes(wanted), None
    for row, key in enumerate(split.keys):
        if key == wanted:
            return row
        if key == printed and found is None:
            found = row
    if found is not None:
        return found
    raise UsageError(
        f"{split.path} has no image {quoted(text)}", f"keys look like {quoted(split.keys[0])}"
    )
