"""From stored codes to a detector's input: for evaluation, and augmented for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from freqprep.augment.crops import Windows, checked_sizes
from freqprep.augment.detector_input import DetectorInput, DetectorPolicy
from freqprep.augment.detector_targets import Move, targets_of_images
from freqprep.augment.randomness import uniforms
from freqprep.augment.resample import Resampler
from freqprep.images.encoding import Encoding
from freqprep.store.object_table import ObjectTable

if TYPE_CHECKING:
    from freqprep.streaming.batch import Batch

_CROP, _FLIP = 10, 11  # streams of random numbers


@dataclass(frozen=True, eq=False)
class PaddedBatch:
    """Images of different sizes, padded to one canvas.

    Attributes
    ----------
    images : Tensor of float32, shape (n, channels or 3, rows, columns)
        Normalised, in channels_last memory; zero beyond each image. The canvas is a multiple of 32
        frame pixels.
    sizes : list of tuple of int
        Height and width of each image in frame pixels.
    targets : list of dict
        See `freqprep.augment.detector_targets.targets_of`; empty in evaluation.
    """

    images: Tensor
    sizes: list[tuple[int, int]]
    targets: list[dict[str, Tensor]]

    def __getitem__(self, images: slice) -> PaddedBatch:
        """Return some of the images, on the same canvas."""
        return PaddedBatch(self.images[images], self.sizes[images], self.targets[images])


class DetectorPreprocess:
    """Transform for evaluation: whole images, resized and normalised.

    Parameters
    ----------
    inputs : DetectorInput
    encoding : Encoding
        Grid and precision of the stored codes: ``split.attributes.encoding``.
    """

    def __init__(self, inputs: DetectorInput, encoding: Encoding) -> None:
        self.inputs, self._encoding = inputs, encoding
        self._resample = inputs.network_resampler(encoding)

    @torch.no_grad()
    def __call__(self, codes: Batch | Tensor, sizes: np.ndarray | None = None) -> PaddedBatch:
        """Transform a batch.

        Parameters
        ----------
        codes : Batch, or Tensor of int8 or int16, shape (n, C, rows, columns)
            A loader's batch, or codes of the channels ``inputs.read``; on any device.
        sizes : ndarray of int, shape (n, 2), optional
            Valid height and width of each image in pixels; a batch has them.

        Returns
        -------
        PaddedBatch
            On the codes' device, without targets.

        Raises
        ------
        UsageError
            As `freqprep.augment.Preprocess`.
        """
        codes, sizes = self.inputs.codes_and_sizes(codes, sizes, self._encoding)
        sizes = checked_sizes(sizes)
        windows = self.inputs.whole_images(sizes)
        return PaddedBatch(*_on_canvas(self.inputs, self._resample, codes, windows), [])


class DetectorAugment:
    """Transform for training: random crop and mirroring of images and their objects.

    Random choices are functions of (seed, epoch, row) alone: a row gets the same ones in any batch,
    on any rank, and in a resumed run.

    Parameters
    ----------
    inputs : DetectorInput
    encoding : Encoding
        Grid and precision of the stored codes: ``split.attributes.encoding``.
    policy : DetectorPolicy
    seed : int
        At least 0.
    objects : ObjectTable
        Objects of the split that batches come from.
    masks : bool
        Whether targets have masks.
    """

    def __init__(
        self,
        inputs: DetectorInput,
        encoding: Encoding,
        policy: DetectorPolicy,
        seed: int,
        objects: ObjectTable,
        masks: bool,
    ) -> None:
        self.inputs, self.policy, self.seed = inputs, policy, seed
        self._objects, self._masks, self._encoding = objects, masks, encoding
        self._resample = inputs.network_resampler(encoding)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> PaddedBatch:
        """Augment a batch of codes of the channels ``inputs.read``.

        Parameters
        ----------
        batch : Batch

        Returns
        -------
        PaddedBatch
            On the codes' device.

        Raises
        ------
        UsageError
            As `freqprep.augment.Preprocess`.
        """
        codes = self.inputs.codes_of(batch, self._encoding)
        start, length, flip = self._choices(batch)
        windows = self.inputs.windows(start, length)
        images, frames = _on_canvas(self.inputs, self._resample, codes, windows, flip)
        moves = [
            Move(_pair(start[image]), _pair(length[image]), frames[image], bool(flip[image]))
            for image in range(len(frames))
        ]
        rows, sizes = batch.rows.tolist(), [_pair(size) for size in batch.sizes]
        targets = targets_of_images(self._objects, rows, sizes, moves, self._masks, images.device)
        return PaddedBatch(images, frames, targets)

    def _choices(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw first pixel and length of each crop, int64 (n, 2), and which images are mirrored."""
        sizes = checked_sizes(batch.sizes)
        draws = uniforms(self.seed, batch.epoch, batch.rows, 4, _CROP)
        least = self.policy.smallest_crop
        shares = least + (1 - least) * draws[:, :2]
        length = np.maximum(np.rint(sizes * shares), 1).astype(np.int64)
        start = np.floor(draws[:, 2:] * (sizes - length + 1)).astype(np.int64)
        flip = uniforms(self.seed, batch.epoch, batch.rows, 1, _FLIP)[:, 0] < self.policy.flip
        return start, length, flip


def _on_canvas(
    inputs: DetectorInput,
    resample: Resampler,
    codes: Tensor,
    windows: Windows,
    flip: np.ndarray | None = None,
) -> tuple[Tensor, list[tuple[int, int]]]:
    """Resize and normalise images on a common canvas, zero beyond each; also return frames."""
    sizes = windows.kept // inputs.enlargement
    height, width = (inputs.enlargement * side for side in inputs.canvas(sizes))
    images = resample(codes, windows, flip, (height, width))
    return images, [_pair(size) for size in sizes]


def _pair(numbers: np.ndarray) -> tuple[int, int]:
    first, second = numbers.tolist()
    return first, second
