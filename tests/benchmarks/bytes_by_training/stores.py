"""Stores of equal bytes: steps made coarser until a selection takes no more than square-24."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import channels as resolve
from freqprep.spectrum.quantization import LARGEST_STEP, PRECISIONS, Precision
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store

_SIZE = 224
_SPAN = 2 * BLOCK - 1
"""Number of values of v + h: so many coarsenings double every step."""

_FINEST, _COARSEST = -_SPAN, 3 * _SPAN
_REFERENCE = "square-24"


def make_stores(source: Path, folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Convert a source at each of some steps.

    Parameters
    ----------
    source, folder : Path
        Image folder; where the stores are written. Finished ones are kept.
    names : iterable of str
        Name of a precision, or of a selection: for that, the finest of the coarser tables at
        which it takes at most the bytes of square-24 at int8.

    Returns
    -------
    dict of str to Path
        Store of each name.
    """
    stores = {}
    for name in sorted(names):
        precision = PRECISIONS.get(name) or _coarse(source, folder, name)
        stores[name] = _convert(source, folder, precision)
    return stores


def _coarse(source: Path, folder: Path, selection: str) -> Precision:
    """Find the finest steps by the bytes of the validation split, which converts faster."""
    reference = _convert(source, folder, PRECISIONS["int8"], "val")
    limit = bytes_per_image(reference, _REFERENCE, "val")
    low, high = _FINEST, _COARSEST
    while high - low > 1:
        middle = (low + high) // 2
        store = _convert(source, folder, coarser(middle), "val")
        fits = bytes_per_image(store, selection, "val") <= limit
        low, high = (low, middle) if fits else (middle, high)
    return coarser(high)


def coarser(amount: int) -> Precision:
    """Return ``compact`` with steps doubled from the highest frequencies down, or halved.

    Parameters
    ----------
    amount : int
        So many of the 15 values of v + h have their steps doubled, the highest first; 15 doubles
        all, and the next begins anew. Below 0 steps are halved, the lowest frequencies first, but
        not below those of ``int8``, which hold every coefficient.

    Returns
    -------
    Precision
    """
    v, h = np.divmod(np.arange(FREQUENCIES), BLOCK)
    doublings = np.tile(np.floor_divide(amount + v + h, _SPAN), len(COMPONENTS))
    steps = np.array(PRECISIONS["compact"].steps) * 2.0**doublings
    steps = np.clip(steps, PRECISIONS["int8"].steps, LARGEST_STEP)
    return Precision(f"compact{amount:+d}", "int8", tuple(steps.tolist()))


def bytes_per_image(store: Path, channels: str, *splits: str) -> float:
    """Return the bytes read from disk for an image: whole chunks, shard indexes included.

    Parameters
    ----------
    store : Path
    channels : str
    *splits : str
        All splits of the store by default.
    """
    opened = open_store(store)
    chosen = [opened[name] for name in splits or opened]
    indices = resolve(channels).indices
    images = sum(int(split.valid.sum()) for split in chosen)
    return sum(bytes_read(split, indices) for split in chosen) / images


def _convert(source: Path, folder: Path, precision: Precision, split: str | None = None) -> Path:
    store = folder / f"{precision.name}.zarr"
    resume = store.exists()
    convert(
        Request("imagefolder", source, store, split, size=_SIZE, precision=precision, resume=resume)
    )
    return store
