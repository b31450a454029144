"""From an RGB network to one on coefficients: its first stages, fitted on training images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from freqprep.augment import ClassifierInput, Preprocess
from freqprep.augment.input_moments import sample_rows
from freqprep.models.first_stages import fit_first_stages
from freqprep.models.gate import GatedNetwork
from freqprep.models.initial import Loaded, rgb_network
from freqprep.models.networks import STEM_STRIDE
from freqprep.spectrum import BLOCK
from freqprep.store.selections import select
from freqprep.store.split import Split

_IMAGES, _AT_ONCE = 256, 16


def fit_to_rgb(
    network: torch.nn.Module,
    model: str,
    given: Loaded,
    inputs: ClassifierInput,
    train: Split,
    device: torch.device,
) -> str:
    """Fit the first stages of a network to those of the RGB network that its weights are from.

    Parameters
    ----------
    network : torch.nn.Module
        With weights from a file, on ``device``; gated or not. Changed in place, if its input is
        coefficients and the file has an RGB network's stem.
    model : str
    given : Loaded
        What the file gave.
    inputs : ClassifierInput
        Input of the network.
    train : Split
    device : torch.device

    Returns
    -------
    str
        Remark on the fit; empty without one.
    """
    parent = rgb_network(model, given.tensors) if inputs.channels else None
    if parent is None:
        return ""
    bare = network.network if isinstance(network, GatedNetwork) else network
    pairs = _pairs(inputs, inputs.side // BLOCK * STEM_STRIDE[model], train, device)
    share = fit_first_stages(bare, parent.to(device), pairs)
    done = "the first stages were fitted to those of the RGB network"
    if share is None:  # one image leaves none to measure it on
        return done
    return f"{done}: on other images they explain {share:.0%} of the variance of its outputs"


def _pairs(
    inputs: ClassifierInput, rgb_side: int, train: Split, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the same central crops as coefficients and as pixels, normalised."""
    stored = select(None, train)
    pixels = ClassifierInput.rgb(train, stored, rgb_side)
    encoding = train.attributes.encoding
    transforms = Preprocess(inputs, encoding), Preprocess(pixels, encoding)
    kept = np.searchsorted(stored.indices, inputs.read_selection.indices)
    rows = sample_rows(train, _IMAGES)
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        codes = torch.from_numpy(train.read_codes(some, stored)).to(device)
        of_each = codes[:, torch.from_numpy(kept).to(device)], codes
        coefficients, rgb = (
            transform(part, train.sizes[some])
            for transform, part in zip(transforms, of_each, strict=True)
        )
        yield coefficients, rgb
