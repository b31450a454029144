"""The unit of work of a packing: some channels of a shard to a shard file, no image decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from freqprep.storage.paths import AnyPath
from freqprep.store import shard
from freqprep.store.packed import PackedShard
from freqprep.store.reader import reopen
from freqprep.store.writer import write_shard


@dataclass(frozen=True)
class ShardSource:
    """Channels of a shard of a finished split.

    Attributes
    ----------
    split_folder : Path or ObjectPath
    content_id : str
        Content id of the split that the packing was planned with.
    shard : int
    positions : tuple of int
        Stored positions of the channels to keep, rising.
    level : int or None
        Level of zstd to compress at; None if the frames are copied.
    """

    split_folder: AnyPath
    content_id: str
    shard: int
    positions: tuple[int, ...]
    level: int | None

    def parts(self) -> Iterator[bytes]:
        """Yield the parts of the packed shard.

        Raises
        ------
        CorruptStoreError
            The split was replaced, or a chunk is damaged.
        ShardMissingError
            The shard's file does not exist.
        """
        split = reopen(self.split_folder, self.content_id)
        with split.open_shard(self.shard) as file:
            if self.level is None:
                yield from shard.join(file.chunks(self.positions))
                return
            # Each channel is encoded before the next is decoded.
            codes = (channel for _, channel in file.read(self.positions))
            yield from shard.encode(codes, self.level)

    @property
    def file_bytes(self) -> int:
        """Length of the shard's file as it is."""
        return reopen(self.split_folder, self.content_id).shard_table.file_bytes(self.shard)


@dataclass(frozen=True)
class PackTask:
    """Work of one worker: a shard to pack, and where its file goes.

    Attributes
    ----------
    source : ShardSource
    split_folder, aside : Path or ObjectPath
        See `freqprep.store.writer.write_shard`.
    """

    source: ShardSource
    split_folder: AnyPath
    aside: AnyPath

    @property
    def shard(self) -> int:
        """Number of the shard."""
        return self.source.shard


def pack_shard(task: PackTask) -> PackedShard:
    """Pack one shard."""
    source = task.source
    entry = write_shard(task.split_folder, source.shard, source.parts(), task.aside)
    return PackedShard(source.shard, entry.file_bytes, entry.sha256)
