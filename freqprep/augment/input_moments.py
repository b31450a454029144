"""Moments of a network's input: what it is normalised by, measured on some images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from freqprep.augment.crops import Windows
from freqprep.augment.input_spec import InputSpec
from freqprep.progress import Progress
from freqprep.store.split import Split

_READ_AT_ONCE, _AT_ONCE = 128, 16  # images read, and resampled
_LEAST_STD = 1e-3


def sample_rows(split: Split, images: int) -> np.ndarray:
    """Return the first valid rows, int64, at most ``images`` of them.

    Rows of a store are permuted, so they are a random sample, and the same one for every run on
    the split.
    """
    return np.flatnonzero(split.valid)[:images]


def measure_moments(
    spec: InputSpec, split: Split, rows: np.ndarray, windows: Windows
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure mean and deviation of each used channel over some resampled images.

    Parameters
    ----------
    spec : InputSpec
        Channels read and used; its own moments do not matter.
    split : Split
    rows : ndarray of int64, shape (n,)
        Rows of the split that have an image, at least one.
    windows : Windows
        What is taken of each of them, and its size.

    Returns
    -------
    mean, std : tuple of float
        In coefficients, rounded to six digits. The deviation is 1 for a channel that is the same
        everywhere.
    """
    resample = spec.resampler(split.attributes.encoding)
    # Padding must not count: images of different size have a canvas each.
    alike = (windows.kept == windows.kept[:1]).all()
    at_once = _AT_ONCE if alike else 1
    sums = np.zeros((3, spec.planes))
    with Progress("measuring channels", len(rows)) as progress:
        for first in range(0, len(rows), _READ_AT_ONCE):
            read = rows[first : first + _READ_AT_ONCE]
            codes = torch.from_numpy(split.read_codes(read, spec.read_selection))
            for begin in range(0, len(read), at_once):
                part = slice(first + begin, first + min(begin + at_once, len(read)))
                data = resample(codes[begin : begin + at_once], windows.take(part))
                values = data.double().transpose(0, 1).flatten(1).numpy()
                count = np.full(len(values), values.shape[1])
                sums += np.stack([count, values.sum(1), np.square(values).sum(1)])
                progress.update(len(data))
    mean = sums[1] / sums[0]
    std = np.sqrt(np.maximum(sums[2] / sums[0] - mean**2, 0))
    # A channel that is the same everywhere (chroma of grey images) has nothing to scale.
    std = np.where(std > _LEAST_STD, std, 1)
    return _rounded(mean), _rounded(std)


def _rounded(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """Round to six digits: all that such a sample knows."""
    return tuple(float(f"{value:.6g}") for value in values)
