"""Gates before a network: a switch a channel, for each image or one for all images.

`ChannelGate` is the dynamic one (Xu et al. 2020, section 3.3), `SelectionGate` holds a selection.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from freqprep.errors import UsageError

__all__ = ["ChannelGate", "GatedNetwork", "SelectionGate"]

_OFF, _ON = 0.1, 2.0  # first biases of the two logits: 87 % start open


class ChannelGate(nn.Module):
    """Gate that opens or shuts each channel of an image, by the means of its channels.

    Mean over the map, 1x1 convolution, batch norm, ReLU, and for each channel two logits, off
    and on, of its own number alone (a grouped 1x1 convolution). While training, the switch is a
    sample with ``P(on) = softmax(off, on)[on]`` (Gumbel's trick), from torch's global generator,
    and gradients are those of the relaxed sample (straight-through; Jang et al. 2017, Maddison
    et al. 2017). In evaluation mode nothing is drawn: it is on where its logit is the greater.

    Parameters
    ----------
    channels : int
        Number of channels.
    temperature : float
        Temperature of the relaxed sample, above 0: the lower, the nearer to the switch itself,
        and the more uneven the gradients.

    Attributes
    ----------
    last_open : Tensor of float, shape (n, channels), or None
        Switches of the last forward pass, each 0 or 1; differentiable in training mode. The
        penalty is their *mean* times lambda.
    """

    last_open: torch.Tensor | None

    def __init__(self, channels: int, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise UsageError(f"a gate's temperature must be above 0, got {temperature}")
        self.temperature = temperature
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.pairs = nn.Conv2d(channels, 2 * channels, 1, groups=channels)
        nn.init.normal_(self.pairs.weight, 0, 0.001)
        with torch.no_grad():
            assert self.pairs.bias is not None
            self.pairs.bias.copy_(torch.tensor([_OFF, _ON]).repeat(channels))
        self.last_open = None

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Set the channels that are off to zero.

        Parameters
        ----------
        coefficients : Tensor of float, shape (n, channels, rows, columns)
            Normalised.

        Returns
        -------
        Tensor
            Same shape and dtype.
        """
        off, on = self.logits(coefficients).unbind(-1)
        advantage = on - off
        if self.training:
            # The difference of two Gumbel variables is logistic: one draw for each switch.
            uniform = torch.rand_like(advantage)
            noise = uniform.log() - (-uniform).log1p()
            relaxed = torch.sigmoid((advantage + noise) / self.temperature)
            # The difference is exactly zero: only its gradient counts.
            is_open = (relaxed > 0.5).to(relaxed.dtype) + (relaxed - relaxed.detach())
        else:
            is_open = (advantage > 0).to(advantage.dtype)
        if not torch.compiler.is_exporting():  # an exported graph has no attributes to set
            self.last_open = is_open
        return coefficients * is_open[:, :, None, None].to(coefficients.dtype)

    def logits(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Compute the switches' logits, off and on: float32, shape (n, channels, 2)."""
        means = coefficients.float().mean((2, 3), keepdim=True)
        pairs: Any = self.pairs(self.squeeze(means))
        logits: torch.Tensor = pairs.float().flatten(1).unflatten(1, (-1, 2))
        return logits

    def __getstate__(self) -> dict[str, Any]:
        # A tensor of the graph can be neither copied nor pickled.
        return {**self.__dict__, "last_open": None}


class SelectionGate(nn.Module):
    """Gate that shuts the same channels of every image.

    It learns nothing itself: `freqprep.training.gate_selection` draws switches in training and
    chooses the channels. So it passes everything in training mode.

    Parameters
    ----------
    channels : int
        Number of channels; all are open at first.

    Attributes
    ----------
    chosen : Tensor of bool, shape (channels,)
        Channels that are open in evaluation mode.
    """

    chosen: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("chosen", torch.ones(channels, dtype=torch.bool))

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Set the channels that are shut to zero; shape (n, channels, rows, columns) stays."""
        if self.training:
            return coefficients
        return coefficients * self.chosen[:, None, None].to(coefficients.dtype)


class GatedNetwork(nn.Module):
    """Network with a gate before it.

    Attributes
    ----------
    gate : ChannelGate or SelectionGate
    network : torch.nn.Module
        Takes the output of the gate.
    """

    def __init__(self, gate: ChannelGate | SelectionGate, network: nn.Module) -> None:
        super().__init__()
        self.gate = gate
        self.network = network

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Compute logits, shape (n, classes)."""
        logits: torch.Tensor = self.network(self.gate(coefficients))
        return logits
