"""Overfitting tests: each network, and one behind a gate, learns a handful of images."""

import pytest
import torch

from freqprep.models.gate import ChannelGate, GatedNetwork
from freqprep.models.networks import MODELS, SMALLEST_GRID, build

CASES = [
    *((model, input, False) for model in MODELS for input in ("frequency", "patches")),
    ("mobilenet_v2", "frequency", True),
]


@pytest.mark.parametrize(("model", "input", "gated"), CASES)
def test_all_of_a_handful_of_images(model, input, gated):
    torch.manual_seed(0)
    grid = SMALLEST_GRID[model]
    shape = (6, grid, grid) if input == "frequency" else (3, 8 * grid, 8 * grid)
    images, labels = torch.randn(6, *shape), torch.arange(6) % 3
    network = build(model, input=input, channels=6, classes=3)
    if gated:
        network = GatedNetwork(ChannelGate(6), network)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.01:
            break
    for layer in network.modules():  # no dropout, no noise; statistics of these images
        layer.train(isinstance(layer, torch.nn.BatchNorm2d))
    with torch.no_grad():
        answers = network(images).argmax(1)
    assert torch.equal(answers, labels)
