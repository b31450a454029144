"""Files of a split made again, aside: they replace damaged ones once they are known to be right."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from freqprep.errors import StoreError
from freqprep.storage.disk import refuse_links, write_parts
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, remove
from freqprep.store.layout import REPAIR_PREFIX, shard_path
from freqprep.store.lease import create_alone
from freqprep.store.partial_tree import share_as


class RepairFolder:
    """Folder ``.repair-<split>`` of a store, there while the split is repaired.

    Parameters
    ----------
    store : Path or ObjectPath
    split : str
    confirm : callable
        From `freqprep.store.lock.store_lock`.

    Attributes
    ----------
    split_folder, aside : Path or ObjectPath
        See `freqprep.store.writer.write_shard`.
    """

    def __init__(self, store: AnyPath, split: str, confirm: Callable[[], None]) -> None:
        self._store, self._split, self._confirm = store, store / split, confirm
        self._folder = store / f"{REPAIR_PREFIX}{split}"
        self.split_folder = self._folder / "split"
        self.aside = self._folder / f"run-{secrets.token_hex(8)}"

    def __enter__(self) -> RepairFolder:
        self.discard()
        if isinstance(self.aside, ObjectPath):
            create_alone(self.aside, b"")
        else:
            assert isinstance(self._folder, Path) and isinstance(self._store, Path)
            self.aside.mkdir(parents=True)
            for folder in (self._folder, self.aside):  # workers may be of another user
                share_as(folder, self._store)
        return self

    def __exit__(self, *_: object) -> None:
        # The next repair removes what is left; an error that ends this one says more.
        with contextlib.suppress(OSError, StoreError):
            self.discard()

    def discard(self) -> None:
        """Remove the folder, also what a killed repair has left."""
        self._confirm()
        if isinstance(self._folder, ObjectPath):
            self._folder.delete_below(self._confirm)
            return
        assert isinstance(self._store, Path)
        refuse_links(self._store, self._folder)
        if self._folder.is_dir():
            shutil.rmtree(self._folder)

    @contextlib.contextmanager
    def shard(self, shard: int) -> Iterator[AnyPath]:
        """Yield the path of a shard that was made here, and remove it at the end of the block."""
        path = shard_path(self.split_folder, shard)
        try:
            yield path
        finally:
            remove(path)

    def replace(self, name: str, data: bytes) -> StoreError | None:
        """Replace a file of the split at once: readers see the old content or the new one.

        Parameters
        ----------
        name : str
            Path relative to the split.
        data : bytes

        Returns
        -------
        StoreError or None
            What is in the way of the file: a folder in its place, or a file in that of its folder.
        """
        self._confirm()
        path = self._split / name
        if isinstance(path, ObjectPath):
            path.write([data])
            return None
        assert isinstance(self.aside, Path) and isinstance(self._store, Path)
        refuse_links(self._store, path.parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_parts(path, [data], self.aside)
        except (IsADirectoryError, NotADirectoryError, FileExistsError):
            what = "a folder is in its place" if path.is_dir() else "one of its folders is a file"
            return StoreError(f"{path} cannot be made: {what}", "move that away, and repair again")
        return None
