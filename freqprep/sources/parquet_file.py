"""Parquet files that are open for reading: footer, schema, and columns in batches of rows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from freqprep.errors import FreqprepError, MissingPackageError, SourceChangedError, SourceError
from freqprep.sources.files import open_source, shown
from freqprep.storage.object_file import ObjectFile
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BUFFER_BYTES = 2**20
_REMOTE_BUFFER_BYTES = 8 * 2**20
_FOOTER_BYTES = 2**16


def arrow() -> Any:
    """Return pyarrow, with its modules ``compute``, ``ipc`` and ``parquet``.

    Raises
    ------
    MissingPackageError
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError(
            f"the package pyarrow cannot be imported: {error}", "pip install 'freqprep[parquet]'"
        ) from error
    return pyarrow


class TableFile:
    """A Parquet file; a context manager, for one thread at a time.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    path : bytes
        Path of the file, relative to ``root``.
    version : int
        Version that the file must have, as in ``FileTable``.
    length : int, optional
        Its length, if it is known.
    metadata : FileMetaData, optional
        Footer, if it was read before.

    Raises
    ------
    SourceError
        The file is damaged, encrypted, or not Parquet.
    SourceChangedError
        The file has another version.
    """

    def __init__(
        self,
        root: AnyPath,
        path: bytes,
        version: int,
        length: int | None = None,
        metadata: pq.FileMetaData | None = None,
    ) -> None:
        self.name = shown(_full(root, path))
        self._version = version
        self._file = _opened(root, path, version, length)
        try:
            self.check_unchanged()
            with self.named_errors():
                self._table = arrow().parquet.ParquetFile(
                    self._file,
                    metadata=metadata,
                    # Columns are read through a buffer: whole, a column of images may not fit.
                    buffer_size=_buffer_bytes(root),
                    pre_buffer=False,
                    page_checksum_verification=True,
                )
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> TableFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._table.close(force=True)
        self._file.close()

    @property
    def length(self) -> int:
        """Length in bytes."""
        if isinstance(self._file, ObjectFile):
            return self._file.size()
        return os.fstat(self._file.fileno()).st_size

    @property
    def metadata(self) -> pq.FileMetaData:
        """Footer of the file."""
        return self._table.metadata

    @cached_property
    def schema(self) -> pa.Schema:
        """Types of the columns, and what the writer noted with them."""
        with self.named_errors():
            return self._table.schema_arrow

    def batches(
        self, columns: Sequence[str], rows: int, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Read columns in batches, as they are in the file.

        Parameters
        ----------
        columns : sequence of str
            Columns, or fields of them (``image.path``).
        rows : int
            Largest number of rows of a batch.
        groups : sequence of int, optional
            Row groups; all by default.

        Yields
        ------
        RecordBatch

        Raises
        ------
        SourceError
            The file is damaged, or was written with a codec that pyarrow does not have.
        SourceChangedError
            The file has changed meanwhile.
        """
        with self.named_errors():
            batches = self._table.iter_batches(
                rows, row_groups=groups, columns=list(columns), use_threads=False
            )
        while True:
            with self.named_errors():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Raise errors of pyarrow as ours."""
        try:
            yield
        except FreqprepError:
            raise
        except (arrow().ArrowException, OSError, ValueError, OverflowError) as error:
            self.check_unchanged()  # what was written again meanwhile is not damaged
            raise SourceError(
                f"{self.name} cannot be read as Parquet: {_first_line(error)}",
                "check that it is a complete Parquet file without encryption, or download it again",
            ) from error

    def check_unchanged(self) -> None:
        """Raise `SourceChangedError` if the file has another version by now."""
        if isinstance(self._file, ObjectFile):
            return  # each answer is checked
        found = os.fstat(self._file.fileno()).st_mtime_ns
        if found != self._version:
            raise _changed(self.name, f"was last changed at {self._version} ns, now at {found} ns")


def _full(root: AnyPath, path: bytes) -> bytes:
    if isinstance(root, ObjectPath):
        return str(root / path.decode()).encode()
    return os.path.join(os.fsencode(root), path)


def _opened(root: AnyPath, path: bytes, version: int, length: int | None) -> BinaryIO | ObjectFile:
    if isinstance(root, ObjectPath):
        return ObjectFile(root / path.decode(), version, _FOOTER_BYTES, length)
    full = _full(root, path)
    if not os.path.exists(full):
        raise _changed(shown(full), "is gone")
    return open_source(full)


def _buffer_bytes(root: AnyPath) -> int:
    return _REMOTE_BUFFER_BYTES if isinstance(root, ObjectPath) else _BUFFER_BYTES


def _changed(name: str, what: str) -> SourceChangedError:
    return SourceChangedError(
        f"{name} is not what it was when it was listed: it {what}",
        "restore it, or convert again with --overwrite",
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return shown(lines[0][:300].encode("utf-8", "replace")) if lines else type(error).__name__
