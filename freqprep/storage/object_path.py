"""Places in object stores and on web servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from freqprep.errors import AccessDeniedError, ObjectChangedError, ObjectStoreError, UsageError
from freqprep.storage.disk import FileEntry
from freqprep.storage.interruptible import interruptible
from freqprep.storage.object_client import client, named_errors, patiently
from freqprep.storage.object_listing import ObjectStatus, Pages, status_of
from freqprep.storage.server_errors import names_no_bucket

if TYPE_CHECKING:
    from obstore import GetOptions, ListResult, ObjectMeta
    from obstore.store import ObjectStore

_PART_BYTES = 16 * 2**20
_LIST = "listed", "name the split"
_WRITE = "written", "name a path or a bucket (s3://, gs://, az://)"
_KEYS_A_DELETION = 1000
_UNQUOTED = "/{}[]*,"  # patterns stay readable

Etag: TypeAlias = dict[str, str]
"""What a server calls a version of an object: the entity tag, and Google's generation number."""


@dataclass(frozen=True, order=True)
class ObjectPath:
    """Object or prefix in a bucket, with the part of `pathlib.Path` that stores need.

    It holds no client and no credentials: a pickled one is opened by whoever reads it. It has no
    ``__fspath__``, so that functions for files refuse it.

    Attributes
    ----------
    root : str
        URL of the bucket (``s3://bucket``) or web server (``https://host``).
    key : str
        Key without a leading or trailing slash; of a web server, its path, not percent-encoded.
    """

    root: str
    key: str

    def __str__(self) -> str:
        return f"{self.root}/{quote(self.key, _UNQUOTED) if self.is_web else self.key}"

    def __truediv__(self, more: str) -> ObjectPath:
        return ObjectPath(self.root, "/".join(filter(None, (self.key, more.strip("/")))))

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """Last part of the key, without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Suffix of the last part of the key, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> ObjectPath:
        """Prefix that holds this key."""
        return ObjectPath(self.root, self.key.rpartition("/")[0])

    @property
    def is_web(self) -> bool:
        """Whether it is on a plain web server: readable, but not to be listed or written."""
        return self.root.startswith("http")

    def with_name(self, name: str) -> ObjectPath:
        """Return the neighbour of that name."""
        return self.parent / name

    @property
    def _client(self) -> ObjectStore:
        return client(self.root)

    def read_bytes(self, most: int | None = None) -> bytes:
        """Return the content.

        Parameters
        ----------
        most : int, optional
            A longer object is not read: zeros stand for it, one more than so many.

        Returns
        -------
        bytes

        Raises
        ------
        FileNotFoundError
            There is no such object.
        ObjectStoreError
            The server refuses, or cannot be reached.
        """
        if most is None:
            return self.read_with_etag()[0]

        def read() -> bytes:
            found = self._client.get(self.key)
            if found.meta["size"] > most:
                return bytes(most + 1)
            return found.bytes().to_bytes()

        with named_errors(str(self)):
            return patiently(read)

    def read_with_etag(self) -> tuple[bytes, Etag]:
        """Return the content, and the tag that the server gave this version of it."""

        def read() -> tuple[bytes, Etag]:
            found = self._client.get(self.key)
            return found.bytes().to_bytes(), _etag(found.meta)

        with named_errors(str(self)):
            return patiently(read)

    def size(self) -> int:
        """Return the length in bytes."""
        return self.status().length

    def status(self) -> ObjectStatus:
        """Return length and version.

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        with named_errors(str(self)):
            return status_of(interruptible(lambda: self._client.head(self.key)))

    def read_range(self, start: int, length: int) -> tuple[bytes, ObjectStatus]:
        """Return some bytes, and the status of the object that they are from.

        Parameters
        ----------
        start, length : int
            What is past the end is left out; ``length`` is at least 1.

        Returns
        -------
        data : bytes
        status : ObjectStatus

        Raises
        ------
        FileNotFoundError
            There is no such object.
        """
        span: GetOptions = {"range": (start, start + length)}

        def read() -> tuple[bytes, ObjectStatus]:
            found = self._client.get(self.key, options=span)
            return found.bytes().to_bytes(), status_of(found.meta)

        with named_errors(str(self)):
            return patiently(read)

    def is_file(self) -> bool:
        """Return whether there is such an object."""
        try:
            self.size()
        except FileNotFoundError:
            return False
        except AccessDeniedError:
            if self.is_web:  # buckets that may not be listed say so of what is not there
                return False
            raise
        return True

    def is_dir(self) -> bool:
        """Return whether there is an object below this prefix."""
        return next(self.files(), None) is not None

    def files(self) -> Iterator[tuple[str, int]]:
        """List all objects below this prefix: key relative to it, and length in bytes."""
        return ((name, status.length) for name, status in self.statuses())

    def statuses(self) -> Iterator[tuple[str, ObjectStatus]]:
        """List all objects below this prefix: key relative to it, and status."""
        self._refuse_web(*_LIST)
        start = len(self.key) + 1 if self.key else 0
        with named_errors(str(self)):
            pages = Pages(self._client, self.key or None)
            while page := patiently(pages.next):
                for found in page:
                    yield found["path"][start:], status_of(found)

    def folders(self) -> list[str]:
        """List the names of prefixes directly below this one, sorted."""
        return sorted(_names(self._below()["common_prefixes"]))

    def objects(self) -> list[tuple[str, ObjectStatus]]:
        """List name and status of the objects directly below this prefix, sorted by name."""
        found = [(found["path"], status_of(found)) for found in self._below()["objects"]]
        return sorted((key.rpartition("/")[2], status) for key, status in found)

    def entries(self) -> list[str]:
        """List the names of objects and prefixes directly below this one, sorted."""
        below = self._below()
        objects = [found["path"] for found in below["objects"]]
        return sorted({*_names(below["common_prefixes"]), *_names(objects)})

    def _below(self) -> ListResult[Sequence[ObjectMeta]]:
        self._refuse_web(*_LIST)
        with named_errors(str(self)):
            return patiently(lambda: self._client.list_with_delimiter(self.key or None))

    def write(self, parts: Iterable[bytes]) -> FileEntry:
        """Write the object at once: readers see the old content or the new one.

        Parameters
        ----------
        parts : iterable of bytes
            Content; joined in memory, sent in pieces if it is large.

        Returns
        -------
        FileEntry
            Length and hash of what was written.
        """
        data = b"".join(parts)
        self._put(data)
        return FileEntry.of(data)

    def create(self, data: bytes) -> Etag:
        """Write the object if there is none, and return its tag.

        One of the same content counts as written by this call, whose answer was lost: what only
        one of several writers may create needs content of its own, not none.

        Raises
        ------
        FileExistsError
            There is one, with other content.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            return self._put(data, mode="create")
        except (AlreadyExistsError, PreconditionError):
            if tag := self._written_before(data):
                return tag
            raise FileExistsError(f"{self} exists") from None

    def replace(self, data: bytes, etag: Etag) -> Etag:
        """Write the object if its tag is the given one, and return the new tag.

        Raises
        ------
        ObjectChangedError
            It has another tag by now, or is gone.
        """
        from obstore.exceptions import PreconditionError

        try:
            return self._put(data, mode=etag)
        except (PreconditionError, FileNotFoundError):
            if tag := self._written_before(data):
                return tag
            raise ObjectChangedError(
                f"{self} was changed by another process", "stop the other process, and run again"
            ) from None

    def _written_before(self, data: bytes) -> Etag | None:
        """Return the tag of the object if it holds this content, else None.

        A request that is sent again, because the answer was lost, meets its own object.
        """
        try:
            found, tag = self.read_with_etag()
        except FileNotFoundError:
            return None
        return tag if found == data else None

    def _put(self, data: bytes, **condition: Any) -> Etag:
        self._refuse_web(*_WRITE)
        with named_errors(str(self)):
            sender = client(self.root, len(data))
            made_once = bool(condition) or len(data) > _PART_BYTES
            try:
                written = patiently(
                    lambda: sender.put(self.key, data, chunk_size=_PART_BYTES, **condition),
                    once=made_once,
                )
            except FileNotFoundError as error:
                if condition or names_no_bucket(str(error)):
                    raise
                raise ObjectStoreError(f"{self} cannot be written: {error}") from None
        return _etag(written)

    def delete(self) -> None:
        """Delete the object, if it is there."""
        _delete(self, [self.key])

    def delete_below(self, confirm: Callable[[], None] = lambda: None) -> None:
        """Delete all objects below this prefix.

        Parameters
        ----------
        confirm : callable, optional
            Called before each thousand of them; an error of it stops the deletion.
        """
        keys = ((self / relative).key for relative, _ in list(self.files()))
        while some := list(itertools.islice(keys, _KEYS_A_DELETION)):
            confirm()
            _delete(self, some)

    def _refuse_web(self, cannot_be: str, remedy: str) -> None:
        if self.is_web:
            raise UsageError(f"{self}: files of a web server cannot be {cannot_be}", remedy)


def _etag(meta: Mapping[str, Any]) -> Etag:
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}


def _names(keys: Iterable[str]) -> Iterator[str]:
    return (key.rstrip("/").rpartition("/")[2] for key in keys)


def _delete(path: ObjectPath, keys: list[str]) -> None:
    path._refuse_web(*_WRITE)
    with named_errors(str(path)):
        try:
            patiently(lambda: path._client.delete(keys), once=True)
        except FileNotFoundError:
            if len(keys) > 1:  # some servers stop at the first key that is not there
                for key in keys:
                    _delete(path, [key])
