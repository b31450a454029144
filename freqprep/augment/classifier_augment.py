"""From stored codes to a classifier's input: for evaluation, and augmented for training.

Random choices are functions of (seed, epoch, row) alone: a row gets the same crop, flip and
colours in any batch, on any rank, and in a resumed run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from freqprep.augment import color_transforms
from freqprep.augment.classifier_input import ClassifierInput, Policy
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
        self.inputs = inputs
        self._resample = inputs.resampler(encoding)

    @torch.no_grad()
    def __call__(self, codes: Tensor, sizes: np.ndarray) -> Tensor:
        """Transform a batch.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
            Codes of the channels ``inputs.read``, on any device.
        sizes : ndarray of int, shape (n, 2)
            Valid height and width of each image in pixels.

        Returns
        -------
        Tensor of float32, shape (n, *inputs.shape)
            Normalised, on the codes' device.
        """
        windows = resized_center_crop(sizes, self.inputs.resize, self.inputs.side)
        return self.inputs.normalise(self._resample(codes, windows))


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
    """

    def __init__(
        self,
        inputs: ClassifierInput,
        encoding: Encoding,
        policy: Policy,
        seed: int,
    ) -> None:
        self.inputs, self.policy, self.seed = inputs, policy, seed
        self._resample = inputs.resampler(encoding)
        self._basis = color_transforms.Basis.of(inputs.used_selection)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        batch : Batch
            Codes of ``inputs.read`` with their rows, sizes and epoch.

        Returns
        -------
        Tensor of float32, shape (n, *inputs.shape)
            Normalised, on the codes' device.
        """
        windows = self.windows(batch.sizes, batch.epoch, batch.rows)
        flip = uniforms(self.seed, batch.epoch, batch.rows, 1, _FLIP)[:, 0] < self.policy.flip
        data = self._resample(batch.codes, windows, flip)
        return self.inputs.normalise(self._color(data, batch.epoch, batch.rows))

    def windows(self, sizes: np.ndarray, epoch: int, rows: np.ndarray) -> Windows:
        """Draw the crops of some rows in an epoch."""
        draws = uniforms(self.seed, epoch, rows, CROP_DRAWS, _CROP)
        return self.policy.windows(sizes, self.inputs.side, draws)

    def _color(self, data: Tensor, epoch: int, rows: np.ndarray) -> Tensor:
        """Change colours by factors as torchvision's ColorJitter draws them: in 1 - x .. 1 + x."""
        policy, basis = self.policy, self._basis
        draws = torch.from_numpy(uniforms(self.seed, epoch, rows, 4, _COLOR))
        draws = draws.to(data.device, torch.float32)
        for column, change, extent in (
            (0, color_transforms.brightness, policy.brightness),
            (1, color_transforms.contrast, policy.contrast),
            (2, color_transforms.saturation, policy.saturation),
        ):
            if extent:
                data = change(data, 1 + extent * (2 * draws[:, column] - 1), basis)
        if policy.grey:
            data = color_transforms.grey(data, draws[:, 3] < policy.grey, basis)
        return data
