"""Files of a split's small arrays: each is read once, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from freqprep.errors import CorruptStoreError, FreqprepError, ShardMissingError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import AnyPath
from freqprep.storage.ranged_file import REPAIR
from freqprep.storage.regular_file import read_regular
from freqprep.store.manifest import Manifest, read_manifest, replaced

RESTORE = REPAIR

_MOST_FILE_BYTES = 2**28


class SmallFiles:
    """The files of a split that its manifest lists by name: read one by one, and checked.

    Parameters
    ----------
    folder : Path or ObjectPath
        Folder of the split.
    manifest : Manifest
    content_id : str
    """

    def __init__(self, folder: AnyPath, manifest: Manifest, content_id: str) -> None:
        self.folder, self.manifest, self.content_id = folder, manifest, content_id

    @property
    def listed(self) -> Mapping[str, FileEntry]:
        """Length and hash of each file."""
        return self.manifest.files

    def read(self, names: Sequence[str]) -> list[bytes]:
        """Read files, several at a time; their bytes must be those that the manifest states.

        Raises
        ------
        ShardMissingError, CorruptStoreError
            They are not.
        StoreError
            They are not, because another split is there since this one was opened.
        """
        paths = [self.folder / name for name in names]
        lengths = {p: self.listed[name].file_bytes for name, p in zip(names, paths, strict=True)}
        try:
            content = zip(
                names, paths, for_each(lambda p: _read(p, lengths[p]), paths), strict=True
            )
            return [_checked(path, data, self.listed[name]) for name, path, data in content]
        except (ShardMissingError, CorruptStoreError):
            self._refuse_replaced()
            raise

    def _refuse_replaced(self) -> None:
        try:
            _, now = read_manifest(self.folder)
        except (FreqprepError, OSError):
            return  # no split is there: the file itself is what to name
        if now != self.content_id:
            raise replaced(self.folder, self.content_id) from None


def _read(path: AnyPath, stated: int) -> bytes:
    if stated > _MOST_FILE_BYTES:
        raise CorruptStoreError(f"{path} has {stated} bytes by the manifest", RESTORE)
    try:
        return read_regular(path, max(stated, 0))
    except FileNotFoundError:
        raise ShardMissingError(f"{path} is missing", RESTORE) from None


def _checked(path: AnyPath, data: bytes, entry: FileEntry) -> bytes:
    if FileEntry.of(data) != entry:
        raise CorruptStoreError(f"{path} is not what the manifest says", RESTORE)
    return data
