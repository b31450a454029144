"""Reading a store: ``open_store(path)["train"].read(rows, channels)``."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from freqprep.errors import (
    CorruptStoreError,
    StoreError,
    UnknownSplitError,
    UsageError,
    did_you_mean,
)
from freqprep.store.keys import Keys
from freqprep.store.layout import partial_folders
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, check_root
from freqprep.store.split import Split

__all__ = ["Keys", "Split", "Store", "find_row", "open_store", "reopen"]

_own = threading.local()


def open_store(path: str | Path) -> Store:
    """Open a store for reading.

    Parameters
    ----------
    path : str or Path

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
    """
    return Store(Path(path))


def reopen(path: Path, content_id: str) -> Split:
    """Return a split, opened once per thread.

    For workers: reading a large split's manifest and small arrays for every shard is slow.

    Parameters
    ----------
    path : Path
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


class Store(Mapping[str, "Split"]):
    """Open store: mapping of names to finished splits, sorted by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        check_root(path)
        if (path / MANIFEST).is_file():
            raise StoreError(
                f"{path} is one split of a store, without its store",
                "name the store that it was copied from",
            )
        names = sorted(child.parent.name for child in path.glob(f"[!.]*/{MANIFEST}"))
        self._splits: dict[str, Split | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Split:
        if name not in self._splits:
            raise UnknownSplitError(
                f"{self.path} has no finished split {name!r}{self._being_written()}",
                f"{did_you_mean(name, self._splits)}it has: {', '.join(self._splits) or 'none'}",
            )
        split = self._splits[name]
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
        if name is None and len(self) != 1:
            if not self._splits:
                raise UsageError(
                    f"{self.path} has no finished split{self._being_written()}",
                    "" if self.unfinished else "make one with `freqprep convert`",
                )
            raise UsageError(
                f"{self.path} has {len(self)} splits{self._being_written()}",
                f"name one of: {', '.join(self._splits)}",
            )
        return self[next(iter(self)) if name is None else name]

    @property
    def unfinished(self) -> list[str]:
        """Names of splits that are being written, or whose conversion was interrupted."""
        return list(partial_folders(self.path))

    @property
    def incomplete(self) -> list[str]:
        """Names of splits without a manifest, as an incomplete copy leaves them."""
        folders = self.path.glob(f"[!.]*/{GROUP_DOCUMENT}")
        return sorted(
            folder.parent.name for folder in folders if folder.parent.name not in self._splits
        )

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

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, splits={list(self._splits)})"


def find_row(split: Split, text: str) -> int:
    """Find a row by its number or its key.

    Parameters
    ----------
    split : Split
    text : str
        Number, negative ones counting from the end, or key of the row.

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
    for row, key in enumerate(split.keys):
        if key == wanted:
            return row
    raise UsageError(f"{split.path} has no image {text!r}", "keys look like " + repr(split.keys[0]))
