"""The gate: a fair sample in training, a function in evaluation, and gradients that teach it."""

import copy
import pickle

import pytest
import torch

from freqprep.errors import UsageError
from freqprep.models.gate import ChannelGate, GatedNetwork


def gate_of(channels, seed=0, **options):
    torch.manual_seed(seed)
    gate = ChannelGate(channels, **options)
    torch.nn.init.normal_(gate.pairs.weight, 0, 3)  # so that images matter
    return gate


def test_most_gates_start_open():
    torch.manual_seed(0)
    gate = ChannelGate(192)
    gate(torch.randn(256, 192, 2, 2))
    expected = torch.sigmoid(torch.tensor(2.0 - 0.1)).item()
    assert expected == pytest.approx(0.87, abs=0.003)
    assert gate.last_open.mean().item() == pytest.approx(expected, abs=0.01)
    assert gate.eval()(torch.ones(1, 192, 2, 2)).eq(1).all()


def test_a_switch_is_0_or_1_and_multiplies_its_channel():
    gate, images = gate_of(12), torch.randn(40, 12, 3, 5)
    for mode in (True, False):
        result = gate.train(mode)(images)
        assert sorted(gate.last_open.unique().tolist()) == [0, 1]
        assert gate.last_open.shape == (40, 12)
        assert torch.equal(result, images * gate.last_open[:, :, None, None])


def test_evaluation_draws_nothing_and_takes_the_greater_logit():
    gate, images = gate_of(12).eval(), torch.randn(40, 12, 3, 5)
    before = torch.get_rng_state()
    first = gate(images)
    assert torch.equal(before, torch.get_rng_state()) and torch.equal(first, gate(images))
    assert torch.equal(gate.last_open, gate.logits(images).argmax(-1).float())


def test_training_draws_from_torchs_seed():
    gate, images = gate_of(12), torch.randn(40, 12, 3, 5)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        gate(images)
        drawn.append(gate.last_open.detach())
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_samples_have_the_softmax_probability_at_any_temperature(temperature):
    gate = gate_of(5, temperature=temperature)
    images = torch.randn(1, 5, 1, 1).expand(20_000, -1, -1, -1)
    gate.squeeze[1].eval()  # a batch of one image has no statistics
    gate(images)
    wanted = gate.logits(images[:1]).softmax(-1)[0, :, 1]
    torch.testing.assert_close(gate.last_open.mean(0), wanted, rtol=0, atol=0.015)


def test_a_channels_logits_are_its_own():
    gate = gate_of(6)
    squeezed = torch.randn(3, 6, 1, 1)
    changed = squeezed.clone()
    changed[:, 4] += 1
    difference = gate.pairs(squeezed) != gate.pairs(changed)
    assert difference.reshape(3, 6, 2).any((0, 2)).tolist() == [i == 4 for i in range(6)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_gradients_are_those_of_the_relaxed_sample(temperature):
    """Finite differences of softmax((logits + Gumbel noise) / temperature), the same noise."""
    gate, images = gate_of(4, temperature=temperature), torch.randn(6, 4, 2, 2)
    weights = torch.randn(6, 4)
    torch.manual_seed(3)
    gate(images)
    (gate.last_open * weights).sum().backward()
    torch.manual_seed(3)
    uniform = torch.rand(6, 4).double()
    noise = (uniform / (1 - uniform)).log()  # of two Gumbel variables, one less the other
    logits = gate.logits(images).detach().double()

    def relaxed(bias):
        noisy = logits + bias.reshape(4, 2)
        noisy[..., 1] += noise
        return ((noisy / temperature).softmax(-1)[..., 1] * weights).sum()

    step = 1e-5 * torch.eye(8, dtype=torch.float64)
    expected = torch.stack([(relaxed(d) - relaxed(-d)) / 2e-5 for d in step])
    torch.testing.assert_close(gate.pairs.bias.grad.double(), expected, rtol=1e-3, atol=1e-5)


def test_under_a_penalty_only_channels_that_matter_stay_open():
    torch.manual_seed(0)
    labels = torch.arange(128) % 4
    images = torch.randn(128, 6, 4, 4)
    images[:, 1] += (labels % 2 * 2 - 1)[:, None, None]
    images[:, 4] += (labels // 2 * 2 - 1)[:, None, None]
    classifier = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, 4)
    )
    network = GatedNetwork(ChannelGate(6), classifier)
    optimizer = torch.optim.Adam(network.parameters(), 0.03)
    for _ in range(300):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        (loss + 0.3 * network.gate.last_open.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
    answers = network(images).argmax(1)
    kept = network.gate.last_open.mean(0)
    assert (answers == labels).float().mean() > 0.9
    assert kept[[1, 4]].min() > 0.9 and kept[[0, 2, 3, 5]].max() < 0.1


def test_a_compiled_network_hands_out_its_switches_too():
    gate = gate_of(4)
    network = GatedNetwork(gate, torch.nn.Flatten())
    compiled = torch.compile(network, backend="aot_eager")
    compiled(torch.randn(3, 4, 2, 2))
    gate.last_open.mean().backward()
    assert gate.pairs.bias.grad.abs().min() > 0


def test_it_can_be_copied_pickled_and_exported_after_a_step():
    gate, images = gate_of(4), torch.randn(3, 4, 2, 2)
    gate(images)
    for again in (copy.deepcopy(gate), pickle.loads(pickle.dumps(gate))):
        assert again.last_open is None
        assert torch.equal(again.eval()(images), copy.deepcopy(gate).eval()(images))
    exported = torch.export.export(gate.eval(), (images,))
    assert torch.equal(exported.module()(images), gate(images))


def test_half_precision_around_it_leaves_its_logits_whole():
    gate = gate_of(4)
    with torch.autocast("cpu", torch.bfloat16):
        result = gate(torch.randn(3, 4, 2, 2).bfloat16())
    assert result.dtype == torch.bfloat16 and gate.last_open.dtype == torch.float32
    gate.last_open.mean().backward()


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_is_above_zero(temperature):
    with pytest.raises(UsageError, match="temperature"):
        ChannelGate(3, temperature)
