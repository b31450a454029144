"""Building a split beside the store's finished ones, and publishing it whole.

An unfinished split is the folder ``.partial-<split>``::

    plan.json, plan.npz     every row, fixed
    journal.jsonl           finished shards
    tmp-*/                  files being written, by this run only
    split/                  the split to be; renamed to its place last

Each file is written aside, synced and renamed, so that at any moment a kill leaves a state from
which ``--resume`` comes to the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore

from freqprep.errors import CorruptStoreError, DiskFullError, StoreLockedError, UsageError
from freqprep.store import shard as shard_bytes
from freqprep.store.layout import PARTIAL_PREFIX, REPLACED_PREFIX, root_document, shard_path
from freqprep.store.manifest import (
    GROUP_DOCUMENT,
    MANIFEST,
    FileEntry,
    Manifest,
    content_id,
    group_document,
    hash_file,
    walk_files,
)
from freqprep.store.schema import (
    COEFFICIENTS,
    ArraySpec,
    Encoding,
    SplitAttributes,
)

_SMALL_CHUNK_ROWS = 2**20
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def full_disk_named(where: Path) -> Iterator[None]:
    """Turn the system's "no space", "quota" and "file too large" into `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        free = shutil.disk_usage(where if where.exists() else where.parent).free
        raise DiskFullError(
            f"{error.strerror} while writing to {where} ({free / 1e6:.0f} MB free)",
            "make room and run the same command with --resume",
        ) from None


@contextlib.contextmanager
def store_lock(store: Path) -> Iterator[None]:
    """Hold the store's lock, ``<store>.lock`` beside it, for as long as the block runs.

    Raises
    ------
    StoreLockedError
        Another process holds it.
    """
    path = store.with_name(store.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise StoreLockedError(
                f"another conversion is writing to {store} ({holder or 'unknown process'})",
                "wait for it, or stop it, and run again",
            ) from None
        # The holder before us removed the file before letting go: then ours is nobody's lock.
        if os.path.exists(path) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
            break
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_parts(path: Path, parts: Iterable[bytes], aside: Path) -> FileEntry:
    """Write a file aside, sync it, rename it into place; return its length and hash."""
    digest = hashlib.sha256()
    written = 0
    descriptor, name = tempfile.mkstemp(dir=aside)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o666 & ~_umask())
        for part in parts:
            file.write(part)
            digest.update(part)
            written += len(part)
        file.flush()
        os.fsync(descriptor)
    os.rename(name, path)
    sync_folder(path.parent)
    return FileEntry(written, digest.hexdigest())


def write_shard(split_folder: Path, index: int, codes: np.ndarray, aside: Path) -> FileEntry:
    """Write one shard.

    Parameters
    ----------
    split_folder : Path
        The ``split`` folder of an unfinished split.
    index : int
        Number of the shard.
    codes : ndarray of int8 or int16, shape (192, 128, rows, columns)
        Channels in stored order.
    aside : Path
        Folder of this run, on the same file system.
    """
    path = shard_path(split_folder, index)
    with full_disk_named(split_folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = write_parts(path, shard_bytes.encode(codes), aside)
        for parent in list(path.parents)[1:4]:
            sync_folder(parent)
    return entry


class Build:
    """An unfinished split.

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
        self.journal_path = self.folder / "journal.jsonl"
        self.published = store / split
        self._replaced = store / f"{REPLACED_PREFIX}{split}"

    def exists(self) -> bool:
        """Whether there is an unfinished split with a plan to resume."""
        return (self.folder / "plan.json").is_file()

    def start(self) -> None:
        """Make the folders; what an earlier build left unfinished is removed."""
        with full_disk_named(self.store):
            self.discard()
            self.split_folder.mkdir(parents=True)

    def discard(self) -> None:
        """Remove the unfinished split."""
        if self.folder.is_dir():
            shutil.rmtree(self.folder)

    def tidy(self) -> None:
        """Finish what a kill interrupted after publication, and drop files half written."""
        if self.published.is_dir() and self._replaced.is_dir():
            shutil.rmtree(self._replaced)
        if self.folder.is_dir() and not self.split_folder.is_dir():
            self.discard()
        for left_over in self.folder.glob("tmp-*"):
            shutil.rmtree(left_over)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Path]:
        """A folder for files being written by this run.

        Workers of a killed run may still be busy; their files are in a folder of their own, which
        `tidy` removes, so that they can no longer rename anything into place.
        """
        folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(
        self,
        attributes: SplitAttributes,
        arrays: Mapping[str, np.ndarray],
        specs: Mapping[str, ArraySpec],
        shards: Mapping[str, FileEntry],
        aside: Path,
    ) -> str:
        """Write everything but the shards, hash it, and rename the split into its place.

        Parameters
        ----------
        attributes : SplitAttributes
        arrays : mapping of str to ndarray
            Every array of ``specs``.
        specs : mapping of str to ArraySpec
        shards : mapping of str to FileEntry
            Every shard's path relative to the split, and what was written there.
        aside : Path
            From `aside`.

        Returns
        -------
        str
            The content id.
        """
        with full_disk_named(self.store):
            self._check_shards(shards)
            self._remove_small_files(shards)
            _write_arrays(self.split_folder, attributes, arrays, specs)
            small = set(walk_files(self.split_folder)) - set(shards) - {GROUP_DOCUMENT}
            files = dict(shards) | {path: hash_file(self.split_folder / path) for path in small}
            manifest = Manifest(attributes.to_dict(), files)
            data = manifest.to_bytes()
            identity = content_id(data)
            write_parts(self.split_folder / MANIFEST, [data], aside)
            document = group_document(manifest, identity, self.split_folder)
            write_parts(self.split_folder / GROUP_DOCUMENT, [document], aside)
            _sync_tree(self.split_folder, set(shards))
            self._swap_in()
        return identity

    def _check_shards(self, shards: Mapping[str, FileEntry]) -> None:
        for path, entry in shards.items():
            try:
                found = (self.split_folder / path).stat().st_size
            except FileNotFoundError:
                found = -1
            if found != entry.file_bytes:
                raise CorruptStoreError(
                    f"{self.split_folder / path}: {found} bytes, journalled {entry.file_bytes}",
                    "start over with --overwrite",
                )

    def _remove_small_files(self, shards: Mapping[str, FileEntry]) -> None:
        for path in list(walk_files(self.split_folder)):
            if path not in shards:
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


def open_or_create_root(store: Path) -> None:
    """Make ``store`` a Zarr group of ours, or check that it is one.

    Raises
    ------
    UsageError
        The path holds something that is not a freqprep store.
    """
    document = root_document()
    path = store / GROUP_DOCUMENT
    if path.is_file() and path.read_bytes() == document:
        return
    if store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise UsageError(
            f"{store} exists and is not a freqprep store",
            "name a new path; nothing there was touched",
        )
    with full_disk_named(store):
        store.mkdir(parents=True, exist_ok=True)
        write_parts(path, [document], store)


def _write_arrays(
    folder: Path,
    attributes: SplitAttributes,
    arrays: Mapping[str, np.ndarray],
    specs: Mapping[str, ArraySpec],
) -> None:
    store = LocalStore(folder)
    _create_coefficients(store, attributes.encoding, attributes.images)
    for name, spec in specs.items():
        data = np.ascontiguousarray(arrays[name], dtype=spec.dtype)
        rows = max(1, min(len(data), _SMALL_CHUNK_ROWS))
        array = zarr.create_array(
            store,
            name=name,
            shape=data.shape,
            chunks=(rows, *data.shape[1:]),
            dtype=data.dtype,
            fill_value=0,
            compressors=[ZstdCodec(level=shard_bytes.ZSTD_LEVEL), Crc32cCodec()],
            dimension_names=spec.dimensions,
            config={"write_empty_chunks": True},
        )
        array[...] = data


def _create_coefficients(store: LocalStore, encoding: Encoding, images: int) -> None:
    zarr.create_array(
        store,
        name=COEFFICIENTS,
        shape=(images, *encoding.shard_shape[1:]),
        shards=encoding.shard_shape,
        chunks=encoding.chunk_shape,
        dtype=encoding.dtype,
        fill_value=0,
        compressors=[ZstdCodec(level=shard_bytes.ZSTD_LEVEL), Crc32cCodec()],
        dimension_names=("image", "channel", "row", "column"),
        config={"write_empty_chunks": True},
    )


def _sync_tree(folder: Path, already: set[str]) -> None:
    for path in walk_files(folder):
        if path not in already:
            descriptor = os.open(folder / path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    for child in folder.iterdir():
        if child.is_dir():
            sync_folder(child)
    sync_folder(folder)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
