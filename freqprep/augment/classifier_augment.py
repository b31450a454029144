"""From stored codes to a classifier's input: for evaluation, and augmented for training.

Random choices are functions of (seed, epoch, row) alone: a row gets the same crop, flip and
colours in any batch, on any rank, and in a resumed run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.classifier_input import ClassifierInput, Policy
from freqprep.augment.color_transforms import ColorChange
from freqprep.augment.crops import CROP_DRAWS, Windows, resized_center_crop
from freqprep.augment.randomness import uniforms
from freqprep.images.encoding import Encoding

if TYPE_CHECKING:
    from freqprep.streaming.batch import Batch

_CROP, _FLIP, _COLOR = range(3)  # streams of random numbers


class Preprocess:
    """Transform for evaluation: short side resized, centre cut, normalised.

    Parameters
    ----------
    inputs : ClassifierInput
    encoding : Encoding
        Grid and precision of the stored codes: ``split.attributes.encoding``.
    """

    def __init__(self, inputs: ClassifierInput, encoding: Encoding) -> None:
        self.inputs, self._encoding = inputs, encoding
        self._resample = inputs.network_resampler(encoding)

    @torch.no_grad()
    def __call__(self, codes: Batch | Tensor, sizes: np.ndarray | None = None) -> Tensor:
        """Transform a batch.

        Parameters
        ----------
        codes : Batch, or Tensor of int8 or int16, shape (n, C, rows, columns)
            A loader's batch, or codes of the channels ``inputs.read``; on any device.
        sizes : ndarray of int, shape (n, 2), optional
            Valid height and width of each image in pixels; a batch has them.

        Returns
        -------
        Tensor of float32, shape (n, *inputs.shape)
            Normalised, in channels_last memory, on the codes' device.

        Raises
        ------
        UsageError
            The batch has other channels than ``inputs.read``, another order of them, or other
            quantization steps; codes of another shape.
        """
        codes, sizes = self.inputs.codes_and_sizes(codes, sizes, self._encoding)
        windows = resized_center_crop(sizes, self.inputs.resize, self.inputs.side)
        return self._resample(codes, windows)


class Augment:
    """Transform for training: random crop, mirroring and colours, then normalised.

    Parameters
    ----------
    inputs : ClassifierInput
    encoding : Encoding
        Grid and precision of the stored codes: ``split.attributes.encoding``.
    policy : Policy
    seed : int
        At least 0.
    dtype : torch.dtype
        Of the result: float32 or bfloat16.
    """

    def __init__(
        self,
        inputs: ClassifierInput,
        encoding: Encoding,
        policy: Policy,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.inputs, self.policy, self.seed = inputs, policy, seed
        self._encoding = encoding
        self._resample = inputs.network_resampler(encoding, dtype)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        batch : Batch
            Codes of ``inputs.read`` with their rows, sizes and epoch.

        Returns
        -------
        Tensor of ``dtype``, shape (n, *inputs.shape)
            Normalised, in channels_last memory, on the codes' device.

        Raises
        ------
        UsageError
            As `Preprocess`.
        """
        codes = self.inputs.codes_of(batch, self._encoding)
        windows = self.windows(batch.sizes, batch.epoch, batch.rows)
        flip = uniforms(self.seed, batch.epoch, batch.rows, 1, _FLIP)[:, 0] < self.policy.flip
        colors = self.colors(batch.epoch, batch.rows)
        return self._resample(codes, windows, flip, colors=colors)

    def windows(self, sizes: np.ndarray, epoch: int, rows: np.ndarray) -> Windows:
        """Draw the crops of some rows in an epoch."""
        draws = uniforms(self.seed, epoch, rows, CROP_DRAWS, _CROP)
        return self.policy.windows(sizes, self.inputs.side, draws)

    def colors(self, epoch: int, rows: np.ndarray) -> ColorChange | None:
        """Draw the colour changes of some rows in an epoch; None if the policy has none.

        Factors are as torchvision's ColorJitter draws them: in 1 - x .. 1 + x.
        """
        policy = self.policy
        if not (policy.brightness or policy.contrast or policy.saturation or policy.grey):
            return None
        draws = uniforms(self.seed, epoch, rows, 4, _COLOR)
        bright, contrast, saturation = (
            1 + extent * (2 * draws[:, column] - 1)
            for column, extent in enumerate((policy.brightness, policy.contrast, policy.saturation))
        )
        change = ColorChange.none(len(rows)).brightness(bright).contrast(contrast)
        return change.saturation(saturation).grey(draws[:, 3] < policy.grey)
