"""Input of an RGB network, computed directly from coefficients.

The inverse transform, keeping the valid pixels, resizing the short side to 256 (bilinear,
antialiased) and the central crop of 224 x 224 are linear and act on rows and columns apart. One
channel's part of the view is then ``down[v] @ coefficients @ across[h].T``: two small products,
and no picture of full size is made.

(The store's own matrix is rounded to multiples of 2**-14 and not quite separable; the view
differs by some hundredths of a grey level.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from freqprep.importance.allocation import Allocation
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.color import TO_RGB
from freqprep.spectrum.dct import PIXEL_OFFSET, dct_matrix_1d, grid_of
from freqprep.spectrum.resizing import resize_matrix
from freqprep.store.split import Split

RESIZE = 256
"""Short side after resizing."""

CROP = 224
"""Side of the central crop."""

_TO_RGB = TO_RGB.astype(np.float32)

Viewed = Selection | Allocation
"""Channels as they are stored, or rounded to the steps of a precision."""

Part = tuple[int, float]
"""Raster index of a channel, and the step it is rounded to; 0 as it is stored."""


def parts_of(viewed: Viewed) -> frozenset[Part]:
    """Return the channels to view, each with its step."""
    if isinstance(viewed, Selection):
        return frozenset((index, 0.0) for index in viewed.indices)
    steps = viewed.precision.steps
    return frozenset((index, steps[index]) for index in viewed.selection.indices)


class Views:
    """Network inputs of some images from each of some selections or allocations.

    The intersection and the union of all are rendered once; a selection is the nearer of the two
    with a few channels added or subtracted.

    Parameters
    ----------
    split : Split
    rows : ndarray of int64, shape (n,)
        Valid rows.
    viewed : sequence of Selection or Allocation
        Those that `rgb` may be called with.
    """

    def __init__(self, split: Split, rows: np.ndarray, viewed: Sequence[Viewed]) -> None:
        sets = [parts_of(one) for one in viewed]
        self._shared = frozenset.intersection(*sets) if sets else frozenset()
        self._union = frozenset[Part]().union(*sets)
        self._position = {i: k for k, i in enumerate(sorted({i for i, _ in self._union}))}
        self._sizes = [(int(height), int(width)) for height, width in split.sizes[rows]]
        self._coefficients = split.read(rows, list(self._position)) if self._position else None
        self._rendered: dict[frozenset[Part], np.ndarray] = {}

    def rgb(self, viewed: Viewed) -> np.ndarray:
        """Render the images from one of the selections or allocations.

        Returns
        -------
        ndarray of float32, shape (n, 3, 224, 224)
            Red, green and blue, clipped to 0..255, not rounded.
        """
        wanted = parts_of(viewed)
        more, less = wanted - self._shared, self._union - wanted
        if len(more) <= len(less):
            planes = self._cached(self._shared) + self._render(more)
        else:
            planes = self._cached(self._union) - self._render(less)
        n = len(planes)
        rgb: np.ndarray = (_TO_RGB @ planes.reshape(n, 3, -1)).reshape(planes.shape)
        rgb += PIXEL_OFFSET
        np.clip(rgb, 0, 255, out=rgb)
        return rgb

    def _cached(self, parts: frozenset[Part]) -> np.ndarray:
        if parts not in self._rendered:
            self._rendered[parts] = self._render(parts)
        return self._rendered[parts]

    def _render(self, parts: Iterable[Part]) -> np.ndarray:
        """Sum some channels to Y - 128, Cb - 128 and Cr - 128, float32 (n, 3, 224, 224)."""
        planes = np.zeros((len(self._sizes), len(COMPONENTS), CROP, CROP), np.float32)
        by_row: dict[tuple[int, int], list[Part]] = {}
        for part in sorted(parts):
            component, frequency = divmod(part[0], FREQUENCIES)
            by_row.setdefault((component, frequency // BLOCK), []).append(part)
        for image, (height, width) in enumerate(self._sizes):
            down = axis_matrices(height, min(height, width))
            across = axis_matrices(width, min(height, width))
            for (component, v), members in by_row.items():
                row = sum(self._blocks(image, k) @ across[k[0] % BLOCK].T for k in members)
                planes[image, component] += down[v] @ row
        return planes

    def _blocks(self, image: int, part: Part) -> np.ndarray:
        assert self._coefficients is not None
        index, step = part
        rows, columns = grid_of(*self._sizes[image])
        stored: np.ndarray = self._coefficients[image, self._position[index], :rows, :columns]
        return np.rint(stored / step) * step if step else stored


@lru_cache(maxsize=64)
def axis_matrices(length: int, short: int) -> np.ndarray:
    """Compose inverse transform, resize and crop along one axis.

    Parameters
    ----------
    length : int
        Valid pixels along the axis.
    short : int
        Valid pixels along the image's shorter axis.

    Returns
    -------
    ndarray of float32, shape (8, 224, blocks)
        A matrix for each frequency along the axis, from coefficients of blocks to pixels.
    """
    resized = max(CROP, RESIZE * length // short)
    first = round((resized - CROP) / 2)
    resize = resize_matrix(length, resized)[first : first + CROP]
    blocks, _ = grid_of(length, 1)
    padded = np.zeros((CROP, blocks * BLOCK))
    padded[:, :length] = resize
    by_block = padded.reshape(CROP, blocks, BLOCK)
    matrices: np.ndarray = np.einsum("obp,vp->vob", by_block, dct_matrix_1d()).astype(np.float32)
    matrices.flags.writeable = False  # callers of the same sizes get this one
    return matrices
