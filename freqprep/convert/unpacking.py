"""Images of tables, copied to a file in which each is a range of bytes, as in an archive."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from freqprep.convert.shard_task import ImageFiles
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.sources import FileTable
from freqprep.sources.parquet_rows import ImageCopier
from freqprep.storage.disk import full_disk_named

_DESCRIPTORS = Path("/dev/fd")


@contextlib.contextmanager
def unpacked(files: ImageFiles, what: str = "") -> Iterator[ImageFiles]:
    """Make images of tables readable, over a block; others are so already.

    They are in a file without a name in the folder for temporary files (``TMPDIR``), which is gone
    with the block, or with the process.

    Parameters
    ----------
    files : ImageFiles
    what : str
        What the reading is for, to show its progress; by default it is not shown.

    Yields
    ------
    ImageFiles
        The same images in the same order.

    Raises
    ------
    SourceError
        A table is damaged, or is not what was listed.
    DiskFullError
        The images do not fit the folder.
    """
    if files.image_column is None:
        yield files
        return
    with tempfile.TemporaryFile(prefix="freqprep-") as out:
        path = _DESCRIPTORS / str(out.fileno())
        with full_disk_named(Path(tempfile.gettempdir())):
            if not what:
                copied = unpack(files, out, path)
            else:
                with Progress(what, len(files)) as progress:
                    copied = unpack(files, out, path, lambda: progress.update(1))
        yield copied


def unpack(
    files: ImageFiles,
    out: BinaryIO,
    path: Path,
    wrote: Callable[[], None] = lambda: None,
    copier: ImageCopier | None = None,
    following: FileTable | None = None,
) -> ImageFiles:
    """Copy images of tables to a file.

    Parameters
    ----------
    files : ImageFiles
    out : BinaryIO
        The file, empty.
    path : Path
        Where it can be opened.
    wrote : callable
        Called before each image is written; errors pass.
    copier : ImageCopier, optional
        From `copier_of`, to unpack further files of the same tables with it.
    following : FileTable, optional
        The rows that are unpacked with it next.

    Returns
    -------
    ImageFiles
        The same images in the same order.
    """
    target = cast(BinaryIO, _Watched(out, wrote))
    with contextlib.ExitStack() as opened:
        copier = copier or opened.enter_context(copier_of(files))
        table = copier.copy(files.table, target, following)
    out.flush()
    version = np.full(len(files), os.fstat(out.fileno()).st_mtime_ns, np.int64)
    paths = Ragged.of_bytes([os.fsencode(path.name)] * len(files))
    return dataclasses.replace(
        files,
        root=path.parent,
        table=FileTable(paths, table.offset, table.length, version),
        image_column=None,
    )


def copier_of(files: ImageFiles) -> ImageCopier:
    """Return what copies the images of tables."""
    assert files.image_column is not None
    return ImageCopier(files.root, files.image_column)


class _Watched:
    def __init__(self, out: BinaryIO, wrote: Callable[[], None]) -> None:
        self._out, self._wrote = out, wrote

    def tell(self) -> int:
        return self._out.tell()

    def write(self, data: bytes) -> int:
        self._wrote()
        return self._out.write(data)
