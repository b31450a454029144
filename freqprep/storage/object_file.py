"""Objects of buckets and web servers as files that are open for reading."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from freqprep.errors import ObjectStoreError, SourceChangedError
from freqprep.storage.object_listing import ObjectStatus
from freqprep.storage.object_path import ObjectPath

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 8 * 2**20
"""Bytes of a request, by default: as many as take about as long as the round trip."""

ResultT = TypeVar("ResultT")


class ObjectFile(io.RawIOBase):
    """Seekable file over an object, for libraries that take open files; for one thread at a time.

    Its length and version are those of the first answer, and each later answer must have the same
    version, so that what is read belongs together. `read` returns as much as was asked for, unless
    the object ends before.

    Parameters
    ----------
    path : ObjectPath
    version : int, optional
        Version that the object must have, as in `freqprep.storage.object_listing.ObjectStatus`.
    buffer_bytes : int, optional
        Fewest bytes that a request asks for.
    length : int, optional
        Its length in bytes, if that is known with its version; else a request may ask for it.

    Raises
    ------
    FileNotFoundError
        When it is first read: there is no such object.
    SourceChangedError
        When it is read: the object has another version.
    ObjectStoreError
        When it is read: the server refuses, or cannot be reached.
    """

    def __init__(
        self,
        path: ObjectPath,
        version: int | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        length: int | None = None,
    ) -> None:
        self.path = path
        self._version = version
        self._status: ObjectStatus | None = None
        if version is not None and length is not None:
            self._status = ObjectStatus(length, version)
        self._buffer_bytes = buffer_bytes
        self._position = 0
        self._start, self._buffer = 0, b""

    @property
    def name(self) -> str:
        """URL of the object."""
        return str(self.path)

    @property
    def status(self) -> ObjectStatus:
        """Length and version; a request if nothing was read yet."""
        if self._status is None:
            self._accept(self._ask(self.path.status))
        assert self._status is not None
        return self._status

    def size(self) -> int:
        """Return the length in bytes."""
        return self.status.length

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, from the start, from here or from the end; return it from the start."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}
        position = offset + (self.size() if whence == io.SEEK_END else start[whence])
        if position < 0:
            raise ValueError(f"position {position} is before the start of {self.path}")
        self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes: all up to the end by default."""
        self._check_open()
        if size is None or size < 0:
            size = max(self.size() - self._position, 0)
        data = self._buffered(size)
        if len(data) < size:
            rest = self._fetched(self._position + len(data), size - len(data))
            data = data + rest if data else rest
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read into a buffer; return how many bytes were read."""
        target = memoryview(buffer).cast("B")
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Free the buffer."""
        self._buffer = b""
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"{self.path} is closed")

    def _buffered(self, size: int) -> bytes:
        begin = self._position - self._start
        return self._buffer[begin : begin + size] if 0 <= begin < len(self._buffer) else b""

    def _fetched(self, start: int, size: int) -> bytes:
        """Return bytes that are not in the buffer, and keep those behind them for later."""
        wanted = max(size, self._buffer_bytes)
        if size == 0 or (self._status is not None and start >= self._status.length):
            return b""
        try:
            data, status = self._ask(lambda: self.path.read_range(start, wanted))
        except EOFError:
            if self.size() > start:  # it has become shorter
                raise self._changed("ends before") from None
            return b""
        self._accept(status)
        if len(data) != max(min(wanted, status.length - start), 0):
            raise ObjectStoreError(
                f"{self.path}: the server sent {len(data)} bytes from byte {start} on, of"
                f" {status.length} in all, where {wanted} were asked for",
                "run again",
            )
        if size < self._buffer_bytes:
            self._start, self._buffer = start, data
        return data[:size]

    def _ask(self, request: Callable[[], ResultT]) -> ResultT:
        try:
            return request()
        except FileNotFoundError:
            if self._version is None:
                raise
            raise self._changed("is gone") from None

    def _accept(self, status: ObjectStatus) -> None:
        if self._version is not None and status.version != self._version:
            raise self._changed("has been written again")
        self._status, self._version = status, status.version

    def _changed(self, what: str) -> SourceChangedError:
        return SourceChangedError(
            f"{self.path} is not what it was when it was listed: it {what}",
            "restore it, or convert again with --overwrite",
        )
