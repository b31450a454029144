"""A process that reads a training split epoch after epoch through a cache.

It prints a checksum of each batch. Arguments: store, folder of the cache, its bytes, and the
options of `checksums` as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import freqprep


def checksums(split: freqprep.Split, **options: Any) -> Iterator[int]:
    """Checksums of the codes and row numbers of all batches of a loader, without an end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", freqprep.streaming.misuse.DroppedRows)
        loader = freqprep.Loader(split, **options)
    with loader:
        while True:
            for batch in loader:
                yield zlib.crc32(batch.codes.numpy().tobytes(), zlib.crc32(batch.rows.tobytes()))


def bytes_in(folder: Path) -> int:
    """Bytes that files take on the disk; some go while they are looked at."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 * path.is_file()
        except FileNotFoundError:
            continue
    return total


def cached_runs(folder: Path) -> list[Path]:
    """The files of a cache that are complete."""
    return sorted(path for path in folder.glob("*/*") if not path.name.startswith("."))


if __name__ == "__main__":
    url, place, limit, given = sys.argv[1:]
    cache = {"cache": place, "cache_bytes": int(limit)}
    for value in checksums(freqprep.open_store(url)["train"], **cache, **json.loads(given)):
        print(value, flush=True)
