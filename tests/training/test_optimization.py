"""The optimizer's groups and the EMA, against their formulas."""

import pytest
import torch

from freqprep.training.optimization import EMA, make_optimizer
from freqprep.training.recipe import Recipe


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    )


def test_norms_and_biases_do_not_decay():
    module = network()
    optimizer = make_optimizer(module, Recipe(1, 8, 0.1, weight_decay=0.01))
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    expected = {
        name: 0.01 if name in ("0.weight", "3.weight") else 0.0
        for name, _ in module.named_parameters()
    }
    assert {n: decay[id(p)] for n, p in module.named_parameters()} == expected


@pytest.mark.parametrize("limit", [0.0, 0.5, 0.9])
def test_the_average_is_its_formula(limit):
    module = network()
    average = EMA(module, limit)
    expected = {name: tensor.double() for name, tensor in module.state_dict().items()}
    for step in range(12):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
            module(torch.randn(5, 3, 1, 1))  # moves the norm's statistics
        average.update(step)
        decay = min(limit, (1 + step) / (10 + step))
        for name, tensor in module.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor
    found = average.network.state_dict()
    assert found["1.num_batches_tracked"] == module.state_dict()["1.num_batches_tracked"] == 12
    for name in found.keys() - {"1.num_batches_tracked"}:
        torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-5, atol=1e-6)


def test_without_a_decay_the_average_is_the_network():
    module = network()
    average = EMA(module, 0.0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    average.update(3)
    for mine, theirs in zip(average.network.parameters(), module.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert not average.network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
