"""One damage at a time to one file of each kind of a store; what reading it then gives."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import synthetic

import freqprep
from freqprep.store.layout import shard_number
from freqprep.store.reader import Split


def flipped(path: Path, other: Path, seed: int) -> None:
    bits = 8 * path.stat().st_size
    synthetic.flip(path, int(np.random.default_rng(seed).integers(bits)))


def truncated(path: Path, other: Path, seed: int) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def extended(path: Path, other: Path, seed: int) -> None:
    path.write_bytes(path.read_bytes() + b"\n\0 }"[seed % 4 : seed % 4 + 1])


def emptied(path: Path, other: Path, seed: int) -> None:
    path.write_bytes(b"")


def swapped(path: Path, other: Path, seed: int) -> None:
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def deleted(path: Path, other: Path, seed: int) -> None:
    path.unlink()


DAMAGES: dict[str, Callable[[Path, Path, int], None]] = {
    damage.__name__: damage for damage in (flipped, truncated, extended, emptied, swapped, deleted)
}


def files_of(store: Path) -> list[str]:
    """Return the files of a store but those of the split val, and of shards only the first."""
    names = [name for name in synthetic.contents(store) if not name.startswith("val/")]
    return [name for name in names if not shard_number(name.removeprefix("train/"))]


def other_of(store: Path, name: str) -> Path:
    """Return what a file can be swapped with: another shard, or the file of the split val."""
    inside = name.removeprefix("train/")
    if shard_number(inside) is not None:
        return store / name.replace("/c/0/", "/c/1/")
    other = store / "val" / inside
    return other if other.is_file() else store / "train/label/c/0"


def everything(split: Split) -> Iterator[tuple[str, np.ndarray]]:
    """Yield all that can be read of a split."""
    names = {path.partition("/")[0] for path in split.manifest.files}
    for name in sorted(names - {"coefficients", "shards"}):
        yield name, split.array(name)
    valid = np.flatnonzero(split.valid)
    yield "codes", split.read_codes(valid)
    yield "epoch", epoch(split)


def epoch(split: Split) -> np.ndarray:
    """Return the codes that a loader gives, by row."""
    channels = freqprep.channels("paper-6")
    valid = np.flatnonzero(split.valid)
    given = np.zeros((len(split), 6, *split.attributes.encoding.geometry.grid), np.int64)
    with freqprep.Loader(split, channels, batch_size=16, shuffle=False, threads=1) as loader:
        for batch in loader:
            given[np.asarray(batch.rows)] = batch.codes.numpy()
    assert given[valid].any()
    return given
