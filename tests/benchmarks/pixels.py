"""Pixels that the images of a store were made from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from freqprep.images.decode import decode, place_pixels
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.store.split import Split


def stored_rgb(split: Split, source: Path, rows: Iterable[int]) -> list[np.ndarray]:
    """RGB of some rows before the transform, float32 (3, h, w), neither rounded nor clipped."""
    geometry = split.attributes.encoding.geometry
    files = {path.name: path for path in source.rglob("*") if path.is_file()}
    images = []
    for row in rows:
        decoded = decode(files[Path(split.keys[row]).name].read_bytes(), geometry.orientation)
        ycbcr = place_pixels(decoded, geometry.place(*decoded.size)).astype(np.float64)
        if ycbcr.shape[2] == 1:
            ycbcr = np.concatenate([ycbcr, np.full((*ycbcr.shape[:2], 2), 128.0)], axis=2)
        images.append(ycbcr_to_rgb(ycbcr).transpose(2, 0, 1).astype(np.float32))
    return images
