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
from freqprep.store.layout import PARTIAL_PREFIX
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
        A mapping of split names to `Split`; unfinished splits are not in it.

    Raises
    ------
    StoreError
        There is no store, or it is not one of ours.
    FormatVersionError
        Its format is newer than this freqprep, or of another major version.
    """
    return Store(Path(path))


def reopen(path: Path, content_id: str) -> Split:
    """A split that the work on its shards was begun with, opened once by each thread at work.

    For workers: a large split's manifest and small arrays are long to read for every shard.

    Raises
    ------
    CorruptStoreError
        The split is no longer the one with that content id.
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
    """An open store: split name -> `Split`, sorted by name."""

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
        """The named split, or the single one where no name is given."""
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
        """Names of splits that are being written, or whose conversion was cut off."""
        folders = self.path.glob(f"{PARTIAL_PREFIX}*")
        return sorted(folder.name[len(PARTIAL_PREFIX) :] for folder in folders)

    @property
    def incomplete(self) -> list[str]:
        """Names of splits without a manifest: what a copy that was cut off leaves."""
        folders = self.path.glob(f"[!.]*/{GROUP_DOCUMENT}")
        return sorted(
            folder.parent.name for folder in folders if folder.parent.name not in self._splits
        )

    def _being_written(self) -> str:
        """A remark about splits that are not finished."""
        remarks = []
        if names := ", ".join(self.unfinished):
            remarks.append(
                f"{names} is still being written, or was cut off: `freqprep convert --resume`"
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
    """Row of a split by its number (negative ones count from the end), or by its key."""
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
