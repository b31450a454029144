"""The unit of work of a conversion: the image files of one shard to one shard file."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freqprep.allocation import keep_freed_memory
from freqprep.errors import ImageDefect
from freqprep.images.decode import MAX_FILE_BYTES
from freqprep.images.encoder import EncodedImage, Encoder
from freqprep.images.encoding import Encoding
from freqprep.progress import noted_if_long
from freqprep.sources import FileTable, Listing, read_images
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.coding import compile_coder, is_compiling
from freqprep.spectrum.moments import Moments
from freqprep.storage.paths import AnyPath
from freqprep.store import shard
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.plan import SplitPlan
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.store.writer import write_shard


@dataclass(frozen=True)
class ImageFiles:
    """Image files of some rows of a split.

    Attributes
    ----------
    root : Path or ObjectPath
        Folder of the files.
    table : FileTable
    stated_sizes : ndarray of int32, shape (n, 2), or None
        Height and width that the annotations state.
    image_column : str or None
        Column of the images, if the files are tables: they are to be unpacked before images are
        read.
    """

    root: AnyPath
    table: FileTable
    stated_sizes: np.ndarray | None
    image_column: str | None = None

    @classmethod
    def of_rows(cls, root: AnyPath, plan: SplitPlan, rows: np.ndarray | range) -> ImageFiles:
        """Return the files of some rows of a plan."""
        return cls.of_images(root, plan.listing, plan.order.take(rows))

    @classmethod
    def of_images(cls, root: AnyPath, listing: Listing, images: np.ndarray) -> ImageFiles:
        """Return the files of some images of a listing."""
        stated = None if listing.stated_sizes is None else listing.stated_sizes[images]
        return cls(root, listing.files.take(images), stated, listing.image_column)

    def take(self, rows: np.ndarray) -> ImageFiles:
        """Return some of the files, in the given order."""
        stated = None if self.stated_sizes is None else self.stated_sizes[rows]
        return dataclasses.replace(self, table=self.table.take(rows), stated_sizes=stated)

    def __len__(self) -> int:
        return len(self.table)

    def images(self) -> Iterator[SourceImage]:
        """Read the images in turn; see `freqprep.sources.read_images`.

        Raises
        ------
        SourceChangedError
            A file has changed since the conversion was planned.
        """
        sizes: Iterable[tuple[int, int] | None] = itertools.repeat(None)
        if self.stated_sizes is not None:
            sizes = map(tuple, self.stated_sizes.tolist())
        contents = read_images(self.root, self.table, MAX_FILE_BYTES)
        return map(SourceImage, contents, sizes)


class SourceImage(NamedTuple):
    """An image of a source as it was read.

    Attributes
    ----------
    content : bytes or ImageDefect
        Its bytes, or the reason why it cannot be read.
    stated_size : tuple of int, or None
        Height and width that the annotations state.
    """

    content: bytes | ImageDefect
    stated_size: tuple[int, int] | None

    def encode(self, encoder: Encoder, out: np.ndarray) -> EncodedImage:
        """Encode the image; see `freqprep.images.encoder.Encoder.encode`.

        Raises
        ------
        ImageDefect
            It cannot be read or decoded.
        """
        if isinstance(self.content, ImageDefect):
            raise self.content
        return encoder.encode(self.content, self.stated_size, out)


@dataclass(frozen=True)
class ShardTask:
    """Work of one worker: the images of a shard, and where its file goes.

    Attributes
    ----------
    shard : int
    first_row : int
    files : ImageFiles
        Images of the shard, in row order.
    encoding : Encoding
    compiled : bool
        See `freqprep.images.encoder.Encoder`.
    level : int
        Level of zstd.
    split_folder, aside : Path or ObjectPath
        See `freqprep.store.writer.write_shard`.
    """

    shard: int
    first_row: int
    files: ImageFiles
    encoding: Encoding
    compiled: bool
    level: int
    split_folder: AnyPath
    aside: AnyPath


def convert_shard(task: ShardTask) -> ShardResult:
    """Convert one shard; a rejected image leaves zeros and the reason."""
    codes = _shard_buffer(task.encoding)
    codes[:, len(task.files) :] = 0
    rows = RowResults.empty(len(task.files))
    rows.source_bytes[:] = np.maximum(task.files.table.length, 0)  # none of a null
    moments = Moments.zero(CHANNELS)
    encoder = Encoder(task.encoding, task.compiled)
    defects, notes = {}, {}
    for index, source_image in enumerate(task.files.images()):
        row = task.first_row + index
        try:
            image = source_image.encode(encoder, codes[:, index])
        except ImageDefect as defect:
            codes[:, index] = 0
            defects[row] = str(defect)
            continue
        _fill(rows, index, image)
        moments += image.moments
        if image.note:
            notes[row] = image.note
    parts = shard.encode(codes, task.level)
    entry = write_shard(task.split_folder, task.shard, parts, task.aside)
    return ShardResult(task.shard, entry.sha256, entry.file_bytes, rows, moments, defects, notes)


def compile_coding(encoding: Encoding) -> None:
    """Compile what encoders use, or load it; with a note if compiling takes long."""
    # Loading what is on disk may take as long on a busy machine.
    with noted_if_long(
        "compiling the inner loop of the conversion, once on this machine", is_compiling
    ):
        compile_coder(encoding.precision)


_own = threading.local()


def _shard_buffer(encoding: Encoding) -> np.ndarray:
    """Return this thread's buffer for the codes of a shard, channels first.

    New memory for each shard would cost a tenth of the conversion in page faults.
    """
    shape = (CHANNELS, ROWS_PER_SHARD, *encoding.geometry.grid)
    codes: np.ndarray | None = getattr(_own, "codes", None)
    if codes is None or codes.shape != shape or codes.dtype != encoding.dtype:
        codes = None
        release_buffer()  # before the next one is allocated: never two at once
        keep_freed_memory()
        codes = _own.codes = np.empty(shape, encoding.dtype)
    return codes


def release_buffer() -> None:
    """Free the buffer of this thread; the end of the thread does so too."""
    vars(_own).clear()


def _fill(rows: RowResults, index: int, image: EncodedImage) -> None:
    rows.valid[index] = True
    for field in dataclasses.fields(RowResults):
        if field.name not in ("valid", "source_bytes"):
            getattr(rows, field.name)[index] = getattr(image, field.name)
