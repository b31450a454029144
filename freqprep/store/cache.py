"""A cache of decoded chunks, limited by bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np

DEFAULT_BYTES = 256 * 2**20


class ChunkCache:
    """Cache of decoded chunks; the least recently used are dropped first. Thread-safe.

    A pickled copy is empty: chunks are not worth sending.

    Parameters
    ----------
    limit : int
        Largest size of all chunks kept, in bytes.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self._chunks: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def __reduce__(self) -> tuple[type[ChunkCache], tuple[int]]:
        return ChunkCache, (self._limit,)

    def get(self, key: tuple[int, int]) -> np.ndarray | None:
        """Return the chunk of (shard, stored position), or None if it is not cached."""
        with self._lock:
            chunk = self._chunks.get(key)
            if chunk is not None:
                self._chunks.move_to_end(key)
            return chunk

    def put(self, key: tuple[int, int], chunk: np.ndarray) -> None:
        """Add a chunk; one larger than the limit is not kept."""
        with self._lock:
            if (known := self._chunks.pop(key, None)) is not None:
                self._held -= known.nbytes
            self._chunks[key] = chunk
            self._held += chunk.nbytes
            while self._held > self._limit:
                _, dropped = self._chunks.popitem(last=False)
                self._held -= dropped.nbytes
