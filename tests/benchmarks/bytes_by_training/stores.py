"""Stores of equal bytes: steps so coarse that more channels take no more than square-24."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import channels as resolve
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store

_SIZE = 224
_FINEST_STEP = 8.0


def _doubling(name: str, luma: Sequence[int], chroma: Sequence[int]) -> Precision:
    """Steps of 8, doubled at each of some values of v + h."""
    sums = np.add(*np.divmod(np.arange(FREQUENCIES), BLOCK))
    planes = [_FINEST_STEP * 2.0 ** sum(sums >= at for at in each) for each in (luma, chroma)]
    return Precision(
        name, "int8", tuple(np.concatenate([planes[0], planes[1], planes[1]]).tolist())
    )


COARSE = {
    table.name: table
    for table in (
        _doubling("coarse-48", luma=(0, 4, 8), chroma=(0, 2, 3, 4)),
        _doubling("coarse-64", luma=(0, 3, 12), chroma=(0, 0, 2, 5)),
    )
}
"""Of all such tables, up to three doublings in luma and four in chroma, those of the least error in
RGB at which paper-48 and paper-64 take at most the bytes of square-24 at int8 on imagenette."""


def make_stores(source: Path, folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Convert a source at each of some steps.

    Parameters
    ----------
    source, folder : Path
        Image folder; where the stores are written. Finished ones are kept.
    names : iterable of str
        Keys of `COARSE` or of the precisions.

    Returns
    -------
    dict of str to Path
        Store of each name.
    """
    known = {**PRECISIONS, **COARSE}
    stores = {}
    for name in sorted(names):
        store = stores[name] = folder / f"{name}.zarr"
        request = Request(
            "imagefolder",
            source,
            store,
            size=_SIZE,
            precision=known[name],
            resume=store.exists(),
        )
        convert(request)
    return stores


def bytes_per_image(store: Path, channels: str) -> float:
    """Return the bytes read from disk for an image: whole chunks, shard indexes included."""
    splits = list(open_store(store).values())
    indices = resolve(channels).indices
    images = sum(int(split.valid.sum()) for split in splits)
    return sum(bytes_read(split, indices) for split in splits) / images
