"""Encoder and decoder of shards: Zarr's sharding codec for the one layout of a store.

A shard is the chunks of its channels in stored order, then an index of (offset, length) pairs
as little-endian uint64, then the index's crc32c. A chunk is the zstd frame of its codes followed
by its own crc32c. zarr-python, tensorstore and zarrs read these files; tests compare the bytes
with those that zarr-python writes. Reasons for an own codec: a run of channels is one read
(zarr-python: half the speed), a shard is encoded on one core without a second copy in memory, and
the order of the chunks in the file is guaranteed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import google_crc32c
import numpy as np
from numcodecs import zstd

from freqprep.errors import ShardMissingError
from freqprep.spectrum.channels import ranges
from freqprep.storage.paths import AnyPath
from freqprep.storage.ranged_file import REPAIR, RangedFile, Run, damaged, open_ranged
from freqprep.store.zstd_frame import LONGEST_HEADER, content_bytes

CHECKSUM_BYTES = 4
"""Length of the checksum behind each chunk and each index."""
_ENTRY_BYTES = 16


def index_bytes(channels: int) -> int:
    """Return the length of the index of a shard with so many channels, with its checksum."""
    return channels * _ENTRY_BYTES + CHECKSUM_BYTES


def checksum(data: bytes | np.ndarray) -> bytes:
    """Return the crc32c of a frame or an index, as it follows it."""
    return int(google_crc32c.value(data)).to_bytes(CHECKSUM_BYTES, "little")


def encode_chunk(codes: np.ndarray, level: int) -> bytes:
    """Encode a chunk: the codes of one channel, int8 or int16 of shape (images, rows, columns)."""
    frame: bytes = zstd.compress(np.ascontiguousarray(codes), level)
    return frame + checksum(frame)


def encode(codes: Iterable[np.ndarray], level: int) -> Iterator[bytes]:
    """Encode a shard, part by part.

    Parameters
    ----------
    codes : iterable of ndarray of int8 or int16, shape (images, rows, columns)
        Codes of each channel in stored order, images padded with zeros to a full shard.
    level : int
        Level of zstd, 1 to 22.

    Returns
    -------
    iterator of bytes
        Parts of the file, in order.
    """
    return join(encode_chunk(channel, level) for channel in codes)


def join(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join encoded chunks to a shard, part by part.

    Parameters
    ----------
    chunks : iterable of bytes
        Frame and checksum of each channel in stored order, as `ShardFile.chunks` yields them.

    Yields
    ------
    bytes
        Parts of the file, in order.
    """
    entries = []
    position = 0
    for chunk in chunks:
        entries.append((position, len(chunk)))
        position += len(chunk)
        yield chunk
    index = np.array(entries, "<u8").tobytes()
    yield index + checksum(index)


class ShardFile:
    """An open shard.

    Parameters
    ----------
    path : Path or ObjectPath
    chunk_shape : tuple of int
        Images, rows and columns of a chunk.
    channels : int
        Number of channels in it.
    dtype : dtype
    file_bytes : int
        Size of the file according to the manifest.
    file : RangedFile, optional
        What to read it from; the path by default.
    entries : ndarray of int64, shape (channels, 2), optional
        `entries` of an earlier opening, which is one request less.

    Attributes
    ----------
    entries : ndarray of int64, shape (channels, 2)
        Offset and length of each chunk: the index, checked.

    Raises
    ------
    ShardMissingError
        The file does not exist.
    CorruptStoreError
        Its size or its index is not what was written.
    """

    def __init__(
        self,
        path: AnyPath,
        chunk_shape: tuple[int, int, int],
        channels: int,
        dtype: np.dtype,
        file_bytes: int,
        file: RangedFile | None = None,
        entries: np.ndarray | None = None,
    ) -> None:
        self._path = path
        self._chunk_shape = chunk_shape
        self._channels = channels
        self._dtype = dtype
        try:
            self._file = open_ranged(path, file_bytes) if file is None else file
        except FileNotFoundError:
            raise self._missing() from None
        try:
            self.entries = self._read_index(file_bytes) if entries is None else entries
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def chunk_lengths(self) -> np.ndarray:
        """Size of each chunk in bytes, in stored order, with checksum. int64, shape (channels,)."""
        return self.entries[:, 1].copy()

    def chunk_frame(self, position: int) -> bytes:
        """Return the zstd frame of one chunk without its checksum, unchecked."""
        offset, length = (int(n) for n in self.entries[position])
        return bytes(next(self._read_runs([(offset, length - CHECKSUM_BYTES)])))

    def read(
        self, positions: Sequence[int], into: Callable[[int], np.ndarray] | None = None
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Decode the chunks at stored positions; adjacent ones are read at once.

        Parameters
        ----------
        positions : sequence of int
            Stored positions of channels, from 0.
        into : callable, optional
            Returns the array to decode the chunk of a position into, contiguous and of the
            chunk's shape. By default one array takes them all, each until the next.

        Yields
        ------
        int, ndarray
            Each position, in rising order, and the array just filled.
        """
        one = np.empty(self._chunk_shape if into is None else 0, self._dtype)
        for position, chunk in self._checked(positions):
            target = one if into is None else into(position)
            self._decode(position, chunk[:-CHECKSUM_BYTES], target)
            yield position, target

    def chunks(self, positions: Sequence[int]) -> Iterator[bytes]:
        """Return the chunks at stored positions as they are, checked but not decoded.

        Parameters
        ----------
        positions : sequence of int
            Stored positions of channels, from 0.

        Yields
        ------
        bytes
            Frame and checksum of each position, in rising order.
        """
        chunk_bytes = math.prod(self._chunk_shape) * self._dtype.itemsize
        for position, chunk in self._checked(positions):
            self._check_content(position, chunk[:-CHECKSUM_BYTES], chunk_bytes)
            yield chunk.tobytes()

    def _checked(self, positions: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each position and its chunk, whose checksum is right."""
        spans = list(ranges(positions))
        begins = [int(self.entries[first, 0]) for first, _ in spans]
        ends = [int(self.entries[stop - 1].sum()) for _, stop in spans]
        runs = [(begin, end - begin) for begin, end in zip(begins, ends, strict=True)]
        for (first, stop), begin, run in zip(spans, begins, self._read_runs(runs), strict=True):
            data = np.frombuffer(run, np.uint8)
            for position in range(first, stop):
                offset, length = (int(n) for n in self.entries[position])
                chunk = data[offset - begin : offset - begin + length]
                stated = chunk[-CHECKSUM_BYTES:].tobytes()
                if checksum(chunk[:-CHECKSUM_BYTES]) != stated:
                    raise damaged(
                        self._path, f"the checksum of stored channel {position} does not match"
                    )
                yield position, chunk

    def _read_runs(self, runs: Sequence[Run]) -> Iterator[bytes | memoryview]:
        try:
            yield from self._file.read_runs(runs)
        except FileNotFoundError:  # an object may be gone, long after its index was read
            raise self._missing() from None

    def _missing(self) -> ShardMissingError:
        return ShardMissingError(f"shard {self._path} is missing", REPAIR)

    def _check_content(self, position: int, frame: np.ndarray, expected: int) -> None:
        # A shorter one would not fill an array.
        if content_bytes(frame[:LONGEST_HEADER].tobytes()) != expected:
            raise damaged(self._path, f"stored channel {position} is not of its chunk's length")

    def _decode(self, position: int, frame: np.ndarray, out: np.ndarray) -> None:
        self._check_content(position, frame, out.nbytes)
        try:
            zstd.decompress(frame, out)
        except (RuntimeError, ValueError) as error:
            raise damaged(
                self._path, f"stored channel {position} does not decode: {error}"
            ) from None

    def _read_index(self, file_bytes: int) -> np.ndarray:
        of_index = index_bytes(self._channels)
        if file_bytes < of_index:
            raise damaged(self._path, f"{file_bytes} bytes cannot hold a shard")
        (entries,) = (
            self._entries_of(bytes(index), file_bytes)
            for index in self._read_runs([(file_bytes - of_index, of_index)])
        )
        return entries

    def _entries_of(self, index: bytes, file_bytes: int) -> np.ndarray:
        if checksum(index[:-CHECKSUM_BYTES]) != index[-CHECKSUM_BYTES:]:
            raise damaged(self._path, "the checksum of its index does not match")
        entries = np.frombuffer(index[:-CHECKSUM_BYTES], "<u8").reshape(self._channels, 2)
        edges = np.concatenate([[0], entries[:, 0] + entries[:, 1]])
        adjacent = edges[-1] == file_bytes - len(index) and np.array_equal(
            edges[:-1], entries[:, 0]
        )
        if not adjacent or entries[:, 1].min() <= CHECKSUM_BYTES or entries.max() > file_bytes:
            raise damaged(self._path, "its chunks do not follow one another in stored order")
        return entries.astype(np.int64)
