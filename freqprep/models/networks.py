"""Classifiers: torchvision's, without the layers before 1/8 of the image's size.

The block DCT takes the place of the stem: the coefficients go into the first stage. All other
layers, their names and their order are torchvision's.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from freqprep.arguments import check_integer
from freqprep.errors import UsageError, did_you_mean
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum import BLOCK

__all__ = ["build", "multiply_accumulates"]

MODELS = ("resnet50", "mobilenet_v2")
"""Architectures, by torchvision's names."""

INPUTS = ("frequency", "rgb", "patches")
"""Kinds of input of a network."""

STRIDES = ("canonical", "authors")
"""Variants of the layers that halve the feature maps: torchvision's, or the authors' code's."""

DEFAULT_GRID = {"resnet50": 56, "mobilenet_v2": 112}
"""Grid size in blocks at which the feature maps are those of 224x224 pixels."""

STEM_STRIDE = {"resnet50": 4, "mobilenet_v2": 2}
"""RGB pixels per position of the first stage, along each axis: RGB side = grid * stride."""

SMALLEST_GRID = {"resnet50": 8, "mobilenet_v2": 16}
"""Smallest grid size in blocks: the network's stride after the stem."""

LARGEST_GRID = 256
"""Largest grid size in blocks: 2048 pixels."""

_ELEMENTWISE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Dropout)


def build(
    model: str,
    *,
    input: str = "frequency",
    channels: int = 24,
    classes: int = 1000,
    strides: str = "canonical",
) -> nn.Module:
    """Build a network with torchvision's names and random weights.

    Parameters
    ----------
    model : str
        ``resnet50`` or ``mobilenet_v2``.
    input : str
        ``frequency``: normalised coefficients, (n, channels, grid, grid); there is no stem.
        ``rgb``: normalised pixels, (n, 3, side, side); torchvision's own network.
        ``patches``: the same pixels; a learned 8x8 convolution of stride 8 and a batch norm turn
        them into (n, channels, side / 8, side / 8) in place of the coefficients.
    channels : int
        Number of input channels of the first stage; not used for ``rgb``.
    classes : int
        Number of classes.
    strides : str
        ``canonical``: torchvision's. ``authors``: as in the authors' released ResNet-50, whose
        second stage does not halve its maps (3.4 times the multiply-accumulates).

    Returns
    -------
    torch.nn.Module
        In training mode, on the CPU; weights are drawn from torch's global generator.

    Raises
    ------
    UsageError
        An unknown name, or a number out of range.
    MissingPackageError
        torchvision is not installed.
    """
    _check(model, input, channels, classes, strides)
    make = getattr(import_torchvision().models, model)
    network: nn.Module = make(weights=None, num_classes=classes)
    if input != "rgb":
        stem = _patches(channels) if input == "patches" else nn.Identity()
        if model == "resnet50":
            open_resnet(network, stem, channels)
        else:
            _open_mobilenet(network, stem, channels)
    if strides == "authors":
        first: Any = network.get_submodule("layer2.0")
        first.conv2.stride = first.downsample[0].stride = (1, 1)
    return network


def check_grid(model: str, grid: int) -> None:
    """Check that a network can take a grid of some blocks along each axis.

    Raises
    ------
    UsageError
        An unknown model, or a grid outside its range, which is named.
    """
    check_name("model", model, MODELS)
    smallest = SMALLEST_GRID[model]
    if not smallest <= grid <= LARGEST_GRID:
        raise UsageError(
            f"{model} cannot take a grid of {grid}x{grid} blocks",
            f"choose a grid from {smallest} to {LARGEST_GRID}; {DEFAULT_GRID[model]} is the"
            " published one",
        )


def multiply_accumulates(module: nn.Module, shape: tuple[int, int, int]) -> int:
    """Count the multiply-accumulates of one image in convolutions and linear layers.

    Nothing is computed: a copy of the network runs on the meta device, without the layers that
    work on each value alone, whose shapes take torch most of the time.

    Parameters
    ----------
    module : torch.nn.Module
    shape : tuple of int
        Channels, rows and columns of its input.

    Returns
    -------
    int
    """
    module = _without_values(module).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, *shape, device="meta"))
    flops: int = counter.get_total_flops()
    return flops // 2  # one of a multiplication, one of an addition


def _without_values(module: nn.Module) -> nn.Module:
    """Copy a network to the meta device, without layers that work on each value alone."""
    tensors = {id(one): one.detach().to("meta") for one in module.buffers()}
    tensors |= {id(one): nn.Parameter(one.detach().to("meta")) for one in module.parameters()}
    copied = copy.deepcopy(module, tensors)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _ELEMENTWISE):
                setattr(parent, name, nn.Identity())
    return copied


def check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    """Raise a UsageError that lists the known names, unless the name is one of them."""
    if name not in known:
        remedy = f"{did_you_mean(name, known)}known: {', '.join(known)}"
        raise UsageError(f"unknown {what} {name!r}", remedy)


def check_positive(**numbers: int) -> None:
    """Raise a UsageError that names the first of some numbers that is not whole, from 1."""
    for name, number in numbers.items():
        check_integer(name, number)


def open_resnet(network: Any, stem: nn.Module, channels: int) -> None:
    """Feed the first stage of torchvision's ResNet from a stem of another width.

    Parameters
    ----------
    network : torchvision.models.ResNet
        Changed in place. The blocks of ``layer1`` begin with a convolution, so signs arrive
        there; those of its layers that see the input are new, with random weights.
    stem : torch.nn.Module
        Replaces ``conv1``; there is no norm, ReLU or pooling behind it.
    channels : int
        Number of output channels of the stem.
    """
    network.conv1 = stem
    network.bn1 = network.relu = network.maxpool = nn.Identity()
    first = network.layer1[0]
    first.conv1 = _with_inputs(first.conv1, channels)
    first.downsample[0] = _with_inputs(first.downsample[0], channels)


def _check(model: str, input: str, channels: int, classes: int, strides: str) -> None:
    check_name("model", model, MODELS)
    check_name("input", input, INPUTS)
    check_name("strides", strides, STRIDES)
    if strides == "authors" and model != "resnet50":
        raise UsageError(f"{model} has no strides 'authors'", "leave it at 'canonical'")
    check_positive(channels=channels, classes=classes)


def _patches(channels: int) -> nn.Module:
    """Make a learned counterpart of the DCT and its normalisation: linear, no overlap."""
    conv = nn.Conv2d(3, channels, BLOCK, BLOCK, bias=False)
    return nn.Sequential(
        OrderedDict(conv=_initialised(conv), norm=nn.BatchNorm2d(channels))
    )  # names unlike the RGB stem's, whose tensors mean something else


def _open_mobilenet(network: Any, stem: nn.Module, channels: int) -> None:
    """Feed the first inverted residual: a 3x3 filter for each channel, then a 1x1 mixture."""
    network.features[0] = stem
    first = network.features[1]
    first.use_res_connect = False  # as in RGB, also if there are 16 channels
    depthwise, norm, _ = first.conv[0]
    first.conv[0][0] = _initialised(
        nn.Conv2d(channels, channels, depthwise.kernel_size, padding=1, groups=channels, bias=False)
    )
    first.conv[0][1] = type(norm)(channels)
    first.conv[1] = _with_inputs(first.conv[1], channels)


def _with_inputs(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Make a 1x1 convolution with another number of input channels."""
    return _initialised(nn.Conv2d(channels, conv.out_channels, 1, bias=False))


def _initialised(conv: nn.Conv2d) -> nn.Conv2d:
    """Initialise as torchvision does its convolutions (He et al. 2015, by fan out)."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
