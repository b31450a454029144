"""Length and version of objects, as servers state them one by one or in pages of a list."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_KEYS_A_PAGE = 1000


class ObjectStatus(NamedTuple):
    """Length in bytes, and a number that another version of the object would not have.

    ``version`` is at least 1: a hash of the entity tag, or of the time of the last change where a
    server has no tags.
    """

    length: int
    version: int


def status_of(meta: Mapping[str, Any]) -> ObjectStatus:
    """Return the status that a server's answer or list states."""
    tag = (meta["e_tag"] or str(meta["last_modified"])).removeprefix("W/").strip('"')
    digest = hashlib.sha256(tag.encode()).digest()
    return ObjectStatus(int(meta["size"]), (int.from_bytes(digest[:8]) >> 1) or 1)


class Pages:
    """Pages of a list; one that was cut off is asked for again."""

    def __init__(self, client: ObjectStore, prefix: str | None) -> None:
        self._list = functools.partial(client.list, prefix, chunk_size=_KEYS_A_PAGE)
        self._pages: Iterator[Sequence[ObjectMeta]] | None = None
        self._last: str | None = None

    def next(self) -> Sequence[ObjectMeta]:
        """Return the next page; an empty one at the end."""
        if self._pages is None:
            self._pages = iter(self._list(offset=self._last))
        try:
            page = next(self._pages, ())
        except Exception:
            self._pages = None  # begin again behind the last key
            raise
        self._last = page[-1]["path"] if page else None
        return page
