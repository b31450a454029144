"""Fitting the first stages of a network on coefficients to those of an RGB network.

The layers that see coefficients cannot take the weights of an RGB network: those are for pixels.
But both networks have feature maps of the same places behind their first stages, so the RGB
network's outputs for the same images are a target, and no labels are needed.

The DCT is linear, so the pixels' stem could be projected onto the coefficients of a block; but stem
and filters see the neighbouring blocks too, and are not linear. Of the first block's outputs such a
projection explains a quarter, all linear functions of the 3x3 blocks two thirds, and a fit of more
blocks by gradient descent leaves the layers behind them with what they know (docs/method.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from freqprep.progress import Progress

__all__ = ["fit_first_stages"]

_WINDOWS = 4  # of an image
_HELD_OUT = 8  # the last of so many parts of the images, at least one image

_STEPS = 600

_LEAST_VARIANCE = 0.05  # of the mean over channels


@dataclass(frozen=True)
class _Stages:
    """First layers of a network, and what to fit them with.

    Attributes
    ----------
    layers : torch.nn.Sequential
    side, batch : int
        Side of a window of the input, and windows of a step: what takes two minutes of a core.
    edge : int
        Outputs along each edge of a window that depend on what lies outside.
    rate : float
        Largest learning rate.
    """

    layers: nn.Sequential
    side: int
    batch: int
    edge: int
    rate: float


def _first_stages(network: nn.Module) -> _Stages:
    layers: Any = network
    if hasattr(network, "layer1"):
        names = "conv1", "bn1", "relu", "maxpool", "layer1"
        return _Stages(nn.Sequential(*(getattr(layers, name) for name in names)), 20, 8, 3, 0.01)
    return _Stages(layers.features[:7], 28, 64, 1, 0.03)


@dataclass(frozen=True)
class _Windows:
    """Parts of images: inputs of the network, and outputs of the RGB network's first stages.

    Attributes
    ----------
    inputs : Tensor of float32, shape (n, C, side, side)
    targets : Tensor of float32, shape (n, D, side / stride, side / stride)
    images : Tensor of int64, shape (n,)
        Number of the image of each window.
    """

    inputs: Tensor
    targets: Tensor
    images: Tensor

    def of(self, rows: Tensor) -> _Windows:
        return _Windows(self.inputs[rows], self.targets[rows], self.images[rows])

    def split(self) -> tuple[_Windows, _Windows]:
        """Hold out the windows of the last images: none of one image."""
        count = int(self.images.max()) + 1
        held_out = max(count // _HELD_OUT, 1) if count > 1 else 0
        last = self.images >= count - held_out
        return self.of(~last), self.of(last)


def fit_first_stages(
    network: nn.Module, parent: nn.Module, pairs: Iterable[tuple[Tensor, Tensor]]
) -> float | None:
    """Fit the first stages of a network, by least squares of their outputs.

    Those are the layers to the end of ResNet's first stage, and of MobileNetV2's blocks at a
    quarter of the grid.

    Parameters
    ----------
    network : torch.nn.Module
        Of `build` with ``input="frequency"``; its first stages are changed in place, statistics of
        their norms included, and nothing else.
    parent : torch.nn.Module
        Of `build` with ``input="rgb"`` and the same model, with trained weights, on the same
        device.
    pairs : iterable of tuple
        The same images as inputs of both: float32 (n, C, grid, grid), normalised coefficients, and
        (n, 3, rows, columns), normalised pixels, of which the parent makes maps of the same size. A
        few hundred images will do.

    Returns
    -------
    float or None
        Share of the outputs' variance that the network explains in images that it was not fitted
        to: the mean over channels; 1 is exact. None if there is one image only.

    Notes
    -----
    The minimised error of each channel is divided by its variance, because the layers behind
    normalise channels, or by a twentieth of the channels' mean where that is more. Draws come from
    a generator with a fixed seed, and the mode of the network is left as it was.
    """
    mine, theirs = _first_stages(network), _first_stages(parent)
    training = network.training
    generator = torch.Generator().manual_seed(0)
    fitted, held_out = _cut(theirs, pairs, generator).split()
    variance = _variance(mine, fitted.targets)
    with torch.enable_grad():
        _descend(mine, fitted, variance, generator)
    _measure_norms(mine, fitted.inputs)
    mine.layers.eval()
    error = None
    if len(held_out.inputs):
        with torch.no_grad():
            error = float(_errors(mine, held_out, _variance(mine, held_out.targets)).mean())
    network.train(training)
    return None if error is None else 1 - error


def _cut(
    stages: _Stages, pairs: Iterable[tuple[Tensor, Tensor]], generator: torch.Generator
) -> _Windows:
    inputs, targets, images = [], [], []
    seen = 0
    stages.layers.eval()
    for coefficients, rgb in pairs:
        with torch.no_grad():
            outputs = stages.layers(rgb)
        grid = coefficients.shape[-1]
        stride = -(-grid // outputs.shape[-1])
        side = min(stages.side, grid)
        places = (grid - side) // stride + 1
        for _ in range(_WINDOWS if places > 1 else 1):
            top, left = torch.randint(places, (2,), generator=generator).tolist()
            inputs.append(_window(coefficients, stride * top, stride * left, side))
            targets.append(_window(outputs, top, left, -(-side // stride)))
            images.append(torch.arange(seen, seen + len(coefficients)))
        seen += len(coefficients)
    windows = torch.cat(inputs)
    return _Windows(windows, torch.cat(targets), torch.cat(images).to(windows.device))


def _window(images: Tensor, top: int, left: int, side: int) -> Tensor:
    return images[..., top : top + side, left : left + side]


def _descend(
    stages: _Stages, windows: _Windows, variance: Tensor, generator: torch.Generator
) -> None:
    stages.layers.train()
    optimizer = torch.optim.Adam(stages.layers.parameters(), stages.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stages.rate, _STEPS)
    with Progress("fitting the first stages to the RGB network", _STEPS, unit="step") as progress:
        for _ in range(_STEPS):
            count = len(windows.inputs)
            drawn = torch.randint(count, (stages.batch,), generator=generator)
            loss = _errors(stages, windows.of(drawn), variance).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            progress.update(1)


def _errors(stages: _Stages, windows: _Windows, variance: Tensor) -> Tensor:
    """Return each output channel's mean squared error over its variance."""
    outputs = _inner(stages, stages.layers(windows.inputs))
    wanted = _inner(stages, windows.targets)
    relative: Tensor = (outputs - wanted).square().mean((0, 2, 3)) / variance
    return relative


def _variance(stages: _Stages, targets: Tensor) -> Tensor:
    """Return the variance of each output channel over all windows, shape (D,).

    Those of next to none count as if they had a little: behind a ReLU some channels are off in most
    images, or in all, and their errors would outweigh those of all others.
    """
    found = _inner(stages, targets).var((0, 2, 3))
    return found.clamp(min=max(_LEAST_VARIANCE * float(found.mean()), 1e-6))


def _inner(stages: _Stages, maps: Tensor) -> Tensor:
    """Cut off what depends on what lies outside of a window."""
    kept = slice(stages.edge, maps.shape[-1] - stages.edge)
    return maps[..., kept, kept]


def _measure_norms(stages: _Stages, inputs: Tensor) -> None:
    """Set the norms' statistics to those of the inputs, in place of a moving average of steps."""
    norms = [layer for layer in stages.layers.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # all batches count alike
    with torch.no_grad():
        for part in torch.split(inputs, stages.batch):
            stages.layers(part)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
