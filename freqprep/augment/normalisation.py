"""The last step of an augmentation: what a network takes, normalised and in its memory format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.color_transforms import to_rgb
from freqprep.augment.transfer import Constants


class Normalisation:
    """Coefficients, or YCbCr pixels, to the input that a network expects.

    Parameters
    ----------
    mean, std : sequence of float
        Of each plane of the output: subtracted, and divided by.
    rgb : bool
        Whether the data are YCbCr pixels, which are converted to RGB and clipped to 0..255 first.
    dtype : torch.dtype
        float32 or bfloat16, of the output. Computed in float32.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        rgb: bool,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.mean, self.std, self.rgb, self.dtype = tuple(mean), tuple(std), rgb, dtype
        shape = (len(self.mean), 1, 1)
        self._constants = Constants(
            mean=np.reshape(self.mean, shape).astype(np.float32),
            std=np.reshape(self.std, shape).astype(np.float32),
        )

    def empty(self, n: int, height: int, width: int, device: torch.device) -> Tensor:
        """Make room for an output of n images: channels_last, not initialised."""
        shape = (n, len(self.mean), height, width)
        channels_last = torch.channels_last
        return torch.empty(shape, dtype=self.dtype, device=device, memory_format=channels_last)

    def __call__(self, data: Tensor) -> Tensor:
        """Normalise.

        Parameters
        ----------
        data : Tensor of float32, shape (n, planes, rows, columns)
            Coefficients; or Y - 128, Cb - 128, Cr - 128. May be overwritten.

        Returns
        -------
        Tensor of ``dtype``
            In channels_last memory.
        """
        if self.rgb:
            data = to_rgb(data).clamp_(0, 255)
        constants = self._constants.on(data.device)
        out = self.empty(len(data), data.shape[2], data.shape[3], data.device)
        return torch.div(data.sub_(constants["mean"]), constants["std"], out=out)
