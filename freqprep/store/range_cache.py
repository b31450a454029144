"""Runs of bytes that were read from a distant store, kept in a local folder.

Any number of processes share the folder. It holds::

    CACHEDIR.TAG                            the mark of a cache: backups leave it out
    lock                                    the bytes in the folder; locked while a run is added
    <content id>/<shard>-<offset>-<length>  one run, then the CRC-32C of its path and bytes

A run's name says what its bytes must be, so a file is right or it is not used: one that is damaged,
incomplete or of another run is fetched again and replaced. Runs are read without a lock. A run is
added under it: the bytes are counted first, then written aside and renamed. So the limit holds
whatever is killed when, and files aside that are found under the lock are leftovers.

What goes when there is no room: the runs used longest ago, but none that was used since this
process opened the cache; if all were, nothing is added. An epoch reads each run once, in another
order each time. Replacing the least recently used alone would then remove most runs just before
they are read again; those that stay are read from here in every epoch.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from freqprep.errors import UsageError
from freqprep.progress import say
from freqprep.storage.ranged_file import Run
from freqprep.storage.regular_file import READ_FLAGS

_TAG, _LOCK = "CACHEDIR.TAG", "lock"
_SIGNATURE = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"  # bford.info/cachedir
    b"# Runs of bytes of freqprep stores; it may be deleted at any time.\n"
)
_CONTENT = re.compile(r"[0-9a-f]{64}")
_ENTRY = re.compile(r"\d+-\d+-\d+")
_ASIDE = ".writing-"
_CHECKSUM_BYTES = 4
_BLOCK_BYTES = 4096
_KEPT_SIXTEENTHS = 15
"""Sixteenths of the limit that stay when room is made, so that it is not made for every run."""
_PATIENCE_SECONDS, _PAUSE_SECONDS = 2.0, 0.002
_FULL_SECONDS = 60.0
_STOPPED_SECONDS = 10.0


def disk_bytes(length: int) -> int:
    """Return the bytes that a cached run of some length takes on a disk, in whole blocks."""
    return -(-(length + _CHECKSUM_BYTES) // _BLOCK_BYTES) * _BLOCK_BYTES


@dataclass(frozen=True)
class _Entry:
    path: str
    taken: int  # bytes on the disk
    used: int  # time of the last use, ns


class RangeCache:
    """Local folder of cached runs, bounded in bytes; pickles, and survives a fork.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    limit : int
        Most bytes of all files in it, whoever wrote them; what is more is removed now.

    Raises
    ------
    UsageError
        The folder has other files in it, cannot be written to, or is no folder.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = Path(os.path.abspath(folder)), limit
        self._opened = time.time_ns()
        self._full_until = 0.0
        self._told = False
        try:
            self._prepare()
            with self._locked() as lock:
                if lock is not None:
                    _write_total(lock, self._make_room(0))
        except OSError as error:
            raise UsageError(
                f"the cache {folder} cannot be written to: {error.strerror}",
                "name a folder on a local disk that you may write to",
            ) from None

    def __repr__(self) -> str:
        return f"RangeCache({str(self.folder)!r}, {self.limit})"

    def renew(self) -> None:
        """Let go of what was used so far, when there is no room: what is read has changed."""
        self._opened, self._full_until = time.time_ns(), 0.0

    def get(self, name: str, run: Run) -> bytes | None:
        """Return the bytes of a run, or None if they are not here or not right.

        Parameters
        ----------
        name : str
            Content id and shard: ``<64 hexadecimal digits>/<number>``.
        run : tuple of int
            Offset and length.

        Returns
        -------
        bytes or None
        """
        entry = f"{name}-{run[0]}-{run[1]}"
        try:
            descriptor = os.open(self.folder / entry, READ_FLAGS | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            data = os.pread(descriptor, run[1], 0)
            if os.pread(descriptor, _CHECKSUM_BYTES + 1, run[1]) != _checksum(entry, data):
                return None
            with contextlib.suppress(OSError):  # another user's file
                os.utime(descriptor, ns=2 * (time.time_ns(),))
            return data
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def add(self, name: str, run: Run, data: bytes | memoryview) -> None:
        """Keep the bytes of a run, if there is room; what fails is said once.

        Parameters
        ----------
        name : str
            As for `get`.
        run : tuple of int
            As for `get`.
        data : bytes or memoryview
        """
        if disk_bytes(run[1]) > self.limit or time.monotonic() < self._full_until:
            return
        try:
            self._add(f"{name}-{run[0]}-{run[1]}", data)
        except FileNotFoundError:  # the folder was deleted
            with contextlib.suppress(OSError, UsageError):
                self._prepare()
        except OSError as error:
            self._full_until = time.monotonic() + _FULL_SECONDS
            if not self._told:
                say(f"warning: nothing can be added to the cache {self.folder}: {error.strerror}")
            self._told = True

    def _add(self, entry: str, data: bytes | memoryview) -> None:
        path, needed = self.folder / entry, disk_bytes(len(data))
        content = b"".join([data, _checksum(entry, data)])
        with self._locked() as lock:
            if lock is None:  # so that not every run waits for a process that was stopped
                self._full_until = time.monotonic() + _STOPPED_SECONDS
                return
            total = _read_total(lock)
            if total is not None:
                total -= _remove(path)  # a damaged one, or that of another process just now
                _write_total(lock, total)
            if total is None or total + needed > self.limit:
                total = self._make_room(needed)
                _write_total(lock, total)
                if total + needed > self.limit:
                    self._full_until = time.monotonic() + _FULL_SECONDS
                    return
            _write_total(lock, total + needed)
            path.parent.mkdir(exist_ok=True)
            aside = path.with_name(_ASIDE + path.name)
            try:
                aside.write_bytes(content)
                os.utime(aside, ns=2 * (time.time_ns(),))  # the system's own time is coarser
                os.rename(aside, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    aside.unlink()
                    _write_total(lock, total)
                raise

    def _prepare(self) -> None:
        """Make the folder with its mark, or check that it is a cache."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._marked():
            return
        others = [name for name in os.listdir(self.folder) if not name.startswith(_TAG)]
        if others and not self._marked():  # another process may have made it meanwhile
            raise UsageError(
                f"{self.folder} is not a cache: it has other files in it, such as {min(others)}",
                "name a new or an empty folder; nothing was changed there",
            )
        aside = self.folder / f"{_TAG}.{os.getpid()}"
        aside.write_bytes(_SIGNATURE)
        os.rename(aside, self.folder / _TAG)

    def _marked(self) -> bool:
        try:
            return (self.folder / _TAG).read_bytes() == _SIGNATURE
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int | None]:
        """Hold the lock of the folder during a block; None if it could not be had in time.

        A process that was stopped may hold it; reading goes on without.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.folder / _LOCK, flags, 0o666)
        try:
            end = time.monotonic() + _PATIENCE_SECONDS
            while not (held := _lock(descriptor)) and time.monotonic() < end:
                time.sleep(_PAUSE_SECONDS)
            yield descriptor if held else None
        finally:
            os.close(descriptor)

    def _make_room(self, needed: int) -> int:
        """Remove leftovers and runs until others fit; return the bytes that are left.

        The lock must be held.
        """
        entries = list(self._entries())
        total = sum(entry.taken for entry in entries)
        if total + needed <= self.limit:
            return total
        goal = self.limit * _KEPT_SIXTEENTHS // 16 - needed
        for entry in sorted(entries, key=lambda entry: entry.used):
            if total <= goal or (needed and entry.used >= self._opened):
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)
            total -= entry.taken
        return total

    def _entries(self) -> Iterator[_Entry]:
        """List the runs; leftovers are removed."""
        for content in os.scandir(self.folder):
            if not (_CONTENT.fullmatch(content.name) and content.is_dir(follow_symlinks=False)):
                continue
            for file in os.scandir(content.path):
                if file.name.startswith(_ASIDE):
                    os.unlink(file.path)
                elif _ENTRY.fullmatch(file.name):
                    found = file.stat(follow_symlinks=False)
                    taken = disk_bytes(found.st_size - _CHECKSUM_BYTES)
                    yield _Entry(file.path, taken, found.st_mtime_ns)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what another machine's clock would not understand."""
        return {**self.__dict__, "_full_until": 0.0}


def _checksum(entry: str, data: bytes | memoryview) -> bytes:
    name = google_crc32c.value(entry.encode())
    value = google_crc32c.extend(name, np.frombuffer(data, np.uint8))  # it takes no memoryview
    return int(value).to_bytes(_CHECKSUM_BYTES, "little")


def _remove(path: Path) -> int:
    """Remove a run, if it is there; return the bytes that it took."""
    try:
        taken = disk_bytes(path.stat(follow_symlinks=False).st_size - _CHECKSUM_BYTES)
        path.unlink()
    except FileNotFoundError:
        return 0
    return taken


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_total(lock: int) -> int | None:
    """Read the bytes in the folder; None if the file is new or damaged."""
    digits, _, check = os.pread(lock, 100, 0).partition(b" ")
    right = digits.isdigit() and check == _total_check(digits)
    return int(digits) if right else None


def _write_total(lock: int, total: int) -> None:
    digits = b"%020d" % total  # always as long, so that nothing of an older one is left behind
    os.pwrite(lock, digits + b" " + _total_check(digits), 0)


def _total_check(digits: bytes) -> bytes:
    return b"%08x\n" % google_crc32c.value(digits)
