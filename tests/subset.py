"""Stores that only format 1.1 has: other steps, another level, a subset of channels."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from freqprep.pack import PackRequest, pack
from freqprep.spectrum.quantization import Precision


def by_component(name: str, luma: float, cb: float, cr: float, codes: str = "int8") -> Precision:
    """Precision of a step for each component, twice that from v + h = 6 on."""
    high = np.add.outer(np.arange(8), np.arange(8)).ravel() >= 6
    steps = [step * (1 + high) for step in (luma, cb, cr)]
    return Precision(name, codes, tuple(np.concatenate(steps).astype(float).tolist()))


MIXED = by_component("mixed", 8, 16, 32)
"""int8 codes, steps from 8 to 64, other ones in Y, Cb and Cr."""

FINE = by_component("fine", 0.5, 1, 2, codes="int16")
"""int16 codes, steps from 0.5 to 4."""


def keep(store: Path, target: Path, channels: Iterable[int], level: int = 1) -> Path:
    """Make a store of the same splits with some of their channels, raster indices."""
    pack(PackRequest(store, target, channels=list(channels), level=level, jobs=1))
    return target
