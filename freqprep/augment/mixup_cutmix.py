"""Mixup and cutmix: two images of a batch combined, and their targets with them.

Both combine an image with the one before it in the batch. The share is a function of seed, epoch
and step alone, so it is the same on every rank and in a resumed run.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from freqprep.augment.randomness import uniforms
from freqprep.errors import UsageError

_SHARE, _CHOICE = 100, 101  # streams of random numbers, no other purpose's


def mix(
    inputs: Tensor,
    labels: Tensor,
    classes: int,
    mixup_alpha: float,
    cutmix_alpha: float,
    key: tuple[int, int, int],
) -> tuple[Tensor, Tensor]:
    """Apply mixup, cutmix, one of the two at even odds, or neither.

    Parameters
    ----------
    inputs : Tensor of float, shape (n, channels, rows, columns)
    labels : Tensor of int64, shape (n,)
    classes : int
    mixup_alpha, cutmix_alpha : float
        See `mixup` and `cutmix`; 0 leaves it out.
    key : tuple of int
        Seed, epoch and step.

    Returns
    -------
    inputs : Tensor
    targets : Tensor
        The labels where nothing is mixed, else probabilities, float32 (n, classes):
        ``torch.nn.functional.cross_entropy`` takes both.
    """
    if not mixup_alpha and not cutmix_alpha:
        return inputs, labels
    targets = torch.nn.functional.one_hot(labels, classes).float()
    seed, epoch, step = key
    heads = uniforms(seed, epoch, np.array([step]), 1, _CHOICE)[0, 0] < 0.5
    if mixup_alpha and (heads or not cutmix_alpha):
        return mixup(inputs, targets, mixup_alpha, seed=seed, epoch=epoch, step=step)
    return cutmix(inputs, targets, cutmix_alpha, seed=seed, epoch=epoch, step=step)


def mixup(
    inputs: Tensor, targets: Tensor, alpha: float, *, seed: int, epoch: int, step: int
) -> tuple[Tensor, Tensor]:
    """Blend each image with another (Zhang et al., "mixup", ICLR 2018).

    Linear, so blending coefficients is blending pixels.

    Parameters
    ----------
    inputs : Tensor of float, shape (n, channels, rows, columns)
    targets : Tensor of float, shape (n, classes)
        Probabilities: one-hot or smoothed labels.
    alpha : float
        Above 0; the share of the first image is drawn from Beta(alpha, alpha).
    seed, epoch, step : int
        Numbers that the share is a function of.

    Returns
    -------
    inputs, targets : Tensor
        Of the same shapes as those given.
    """
    share, _ = _draws(alpha, seed, epoch, step)
    return _blend(inputs, share), _blend(targets, share)


def cutmix(
    inputs: Tensor, targets: Tensor, alpha: float, *, seed: int, epoch: int, step: int
) -> tuple[Tensor, Tensor]:
    """Paste a box of another image into each (Yun et al., "CutMix", ICCV 2019).

    The box lies on the grid of the input: whole blocks for coefficients. Its centre is uniform
    and what reaches beyond the edge is cut off; the targets take the share of the area pasted.

    Parameters and results are those of `mixup`.
    """
    share, position = _draws(alpha, seed, epoch, step)
    size = np.array(inputs.shape[-2:])
    half = 0.5 * np.sqrt(1 - share) * size
    corners = position * size + np.stack([-half, half])
    (top, left), (bottom, right) = np.clip(np.rint(corners), 0, size).astype(np.int64)
    mixed = inputs.clone()
    box = (..., slice(top, bottom), slice(left, right))
    mixed[box] = inputs.roll(1, 0)[box]
    kept = 1 - float((bottom - top) * (right - left)) / float(size.prod())
    return mixed, _blend(targets, kept)


def _draws(alpha: float, seed: int, epoch: int, step: int) -> tuple[float, np.ndarray]:
    """Draw the share of the first image, and two uniform numbers."""
    if not 0 < alpha < np.inf:
        raise UsageError(f"alpha must be above 0, got {alpha}", "0.2 and 1 are usual")
    draws = uniforms(seed, epoch, np.array([step]), 3, _SHARE)[0]
    return float(betaincinv(alpha, alpha, draws[0])), draws[1:]


def _blend(data: Tensor, share: float) -> Tensor:
    return data * share + data.roll(1, 0) * (1 - share)
