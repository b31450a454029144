"""A gate that selects: as many channels or bytes as asked, and those that carry the label."""

import dataclasses
import itertools

import numpy as np
import pytest
import synthetic
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import freqprep
from freqprep.models.gate import GatedNetwork, SelectionGate
from freqprep.spectrum.channels import PUBLISHED, published
from freqprep.store.channel_bytes import bytes_read
from freqprep.training.distributed import World
from freqprep.training.gate_goal import GateGoal, GatePhases
from freqprep.training.gate_selection import GateSelector
from freqprep.training.recipe import Recipe

CPU = World(0, 1, torch.device("cpu"))
IMAGES = 64


def goal_of(count, costs=None, limit=1.0, log_energy=None):
    stored = np.ones(count) if costs is None else np.asarray(costs, float)
    log_energy = np.zeros(count) if log_energy is None else log_energy
    empty = np.zeros(count, bool)
    return GateGoal(stored, limit, stored, 0.0, costs is not None, log_energy, empty)


def first_layers(kind, channels):
    """Return the beginning of MobileNetV2 or of ResNet-50, small, to 16 channels."""
    if kind == "mobilenet":
        depthwise = torch.nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        norm = torch.nn.BatchNorm2d(channels)
        begin = (depthwise, norm, torch.nn.ReLU(), torch.nn.Conv2d(channels, 16, 1, bias=False))
    else:
        begin = (torch.nn.Conv2d(channels, 16, 1, bias=False),)
    return *begin, torch.nn.BatchNorm2d(16), torch.nn.ReLU()


class Drawn:
    """Training on drawn images, of whose channels only ``told`` carry a bit of the label each."""

    def __init__(self, seed, kind, goal, bits, steps, strength=1.0):
        torch.manual_seed(seed)
        self.strength = strength
        count = len(goal.costs)
        self.told = sorted(np.random.RandomState(seed).choice(count, bits, False).tolist())
        end = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 2**bits))
        layers = torch.nn.Sequential(*first_layers(kind, count), *end)
        self.network = GatedNetwork(SelectionGate(count), layers).train()
        self.selector = GateSelector(self.network, goal, steps, CPU)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.1, momentum=0.9)
        self.opened = []

    def step(self, number):
        labels = torch.randint(0, 2 ** len(self.told), (IMAGES,))
        images = torch.randn(IMAGES, len(self.network.gate.chosen), 4, 4)
        for bit, channel in enumerate(self.told):
            signs = (labels >> bit) % 2 * 2 - 1
            images[:, channel] += self.strength * signs[:, None, None]
        self.selector.begin(number)
        self.optimizer.zero_grad()
        logits = self.selector.forward(self.network, images)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        self.selector.observe(IMAGES)
        self.optimizer.step()
        self.selector.learn()
        self.opened.append(self.selector.numbers(number)["channels_open"].item())

    @property
    def chosen(self):
        return self.network.gate.chosen.nonzero().flatten().tolist()


@pytest.mark.parametrize(("kind", "steps"), [("mobilenet", 250), ("resnet", 100)])
@pytest.mark.parametrize("seed", range(3))
def test_the_channels_that_carry_the_label_are_found(kind, steps, seed):
    drawn = Drawn(seed, kind, goal_of(24, limit=4.0), bits=4, steps=steps)
    for number in range(steps):
        drawn.step(number)
    assert drawn.chosen == drawn.told


def test_evidence_overrules_the_energy():
    """The channels that carry the label have the least energy."""
    energies = np.linspace(1.7, -1.7, 12)
    drawn = Drawn(0, "resnet", goal_of(12, limit=3.0, log_energy=energies), bits=3, steps=120)
    drawn.told = [9, 10, 11]
    for number in range(120):
        drawn.step(number)
    assert drawn.chosen == drawn.told


def test_without_evidence_the_most_energy_stays():
    energies = np.random.RandomState(0).randn(12)
    drawn = Drawn(0, "resnet", goal_of(12, limit=3.0, log_energy=energies), bits=3, steps=1)
    drawn.step(0)
    assert drawn.chosen == sorted(np.argsort(-energies)[:3].tolist())


@pytest.mark.parametrize("kind", ["mobilenet", "resnet"])
def test_noise_does_not_pass_for_evidence(kind):
    """Where no channel tells anything, those of the most energy stay, but for one in forty."""
    kept = 0
    for seed in range(4):
        energies = np.random.RandomState(seed).permutation(np.linspace(-1.7, 1.7, 64))
        goal = goal_of(64, limit=20.0, log_energy=energies)
        drawn = Drawn(seed, kind, goal, bits=2, steps=120, strength=0.0)
        for number in range(120):
            drawn.step(number)
        kept += len(set(drawn.chosen) & set(np.argsort(-energies)[:20].tolist()))
    assert kept >= 78


def test_bytes_decide_between_channels_that_tell_as_much():
    """Two bits, each in a cheap and in a dear channel: within the bytes of two cheap ones."""
    costs = np.array([1.0, 5.0, 1.0, 5.0])
    torch.manual_seed(0)
    drawn = Drawn(0, "resnet", goal_of(4, costs, limit=2.5), bits=2, steps=150)
    drawn.told = [0, 2]
    for number in range(150):
        drawn.step(number)
    assert drawn.chosen == [0, 2]


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(1, 40), count=st.integers(2, 30), data=st.data())
def test_it_ends_with_the_number_asked_for(steps, count, data):
    wanted = data.draw(st.integers(1, count))
    drawn = Drawn(0, "resnet", goal_of(count, limit=float(wanted)), bits=1, steps=steps)
    for number in range(steps):
        drawn.step(number)
    assert drawn.selector.frozen and len(drawn.chosen) == wanted
    assert drawn.opened[-1] == wanted
    state = drawn.selector.state(steps - 1)
    assert (state["open"], state["target"]) == (wanted, wanted)


@pytest.mark.parametrize("steps", [30, 90])
def test_the_open_channels_follow_the_target(steps):
    drawn = Drawn(1, "resnet", goal_of(40, limit=5.0), bits=2, steps=steps)
    phases = GatePhases.of(steps)
    for number in range(steps):
        drawn.step(number)
    targets = [drawn.selector.target(number) for number in range(steps)]
    assert targets[0] == drawn.opened[0] == 40  # all are open first
    assert all(a >= b for a, b in itertools.pairwise(targets))
    # Draws of 64 images differ from their mean by less than six standard errors of a fair coin.
    error = 6 * 0.5 * np.sqrt(40 / IMAGES)
    np.testing.assert_allclose(drawn.opened, targets, atol=error)
    assert drawn.opened[phases.frozen :] == [5.0] * (steps - phases.frozen)


@settings(max_examples=60, deadline=None)
@given(
    costs=st.lists(st.floats(1, 100), min_size=2, max_size=20),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_a_choice_keeps_the_budget_and_nothing_left_out_fits(costs, share, seed):
    costs = np.array(costs)
    limit = max(share * costs.sum(), costs.min())
    goal = goal_of(len(costs), costs, limit)
    chosen = goal.choose(np.random.RandomState(seed).randn(len(costs)), limit)
    used = costs[chosen].sum()
    assert used <= limit * (1 + 1e-9)
    if not chosen.all():
        assert used + costs[~chosen].min() > limit * (1 - 1e-9)


@pytest.mark.parametrize("name", PUBLISHED)
def test_without_evidence_a_budget_keeps_what_the_images_consist_of(store, name):
    """Channels of next to no bytes take no place of those that have the energy."""
    split = freqprep.open_store(store)["train"]
    listed = list(published(name).indices)
    budget = f"{bytes_read(split, published(name).indices) / split.valid.sum()}B/image"
    recipe = Recipe(1, 8, 0.1, gate_budget=budget)
    goal = GateGoal.of(recipe, split, tuple(range(192)))
    network = GatedNetwork(SelectionGate(192), torch.nn.Identity())
    GateSelector(network, goal, 30, CPU).choose(29)
    chosen = network.gate.chosen.numpy()
    energy = split.moments.total_squares * split.steps.astype(float) ** 2
    assert chosen[0]  # the mean of luma
    assert goal.bytes_of(chosen) <= (goal.limit + goal.index_bytes) * (1 + 1e-9)
    assert energy[chosen].sum() > 0.99 * energy[listed].sum()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_of_grey_images_no_budget_is_spent_on_chroma(tmp_path, share):
    """Channels that are 0 in all images cost next to nothing, and tell nothing."""
    for number in range(40):
        path = tmp_path / "grey" / "train" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(synthetic.pixels(number, 32, 32)[..., 0]).save(path)
    split = freqprep.open_store(synthetic.make(tmp_path / "grey", tmp_path / "g.zarr"))["train"]
    luma = bytes_read(split, tuple(range(64))) / split.valid.sum()
    every = tuple(range(192))
    goal = GateGoal.of(Recipe(1, 8, 0.1, gate_budget=f"{share * luma}B/image"), split, every)
    assert goal.empty.nonzero()[0].tolist() == list(range(64, 192))
    network = GatedNetwork(SelectionGate(192), torch.nn.Identity())
    GateSelector(network, goal, 30, CPU).choose(29)
    chosen = network.gate.chosen.nonzero().flatten().tolist()
    assert chosen[0] == 0 and chosen[-1] < 64
    # A number is what was asked for: the empty ones come last.
    for count in (20, 64, 70):
        goal = GateGoal.of(Recipe(1, 8, 0.1, gate_channels=count), split, every)
        GateSelector(network, goal, 30, CPU).choose(29)
        assert network.gate.chosen[:64].sum() == min(count, 64)
        assert network.gate.chosen.sum() == count


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_budget_is_filled_from_the_top(store, name):
    """Without evidence the most energy first, whatever it costs, as far as it fits."""
    split = freqprep.open_store(store)["train"]
    budget = f"{bytes_read(split, published(name).indices) / split.valid.sum()}B/image"
    goal = GateGoal.of(Recipe(1, 8, 0.1, gate_budget=budget), split, tuple(range(192)))
    network = GatedNetwork(SelectionGate(192), torch.nn.Identity())
    GateSelector(network, goal, 30, CPU).choose(29)
    order = np.argsort(-goal.log_energy, kind="stable")
    fit = int((np.cumsum(goal.costs[order]) <= goal.limit).sum())
    assert network.gate.chosen.numpy()[order[:fit]].all()


@given(steps=st.integers(1, 10_000))
def test_every_run_has_a_frozen_end(steps):
    phases = GatePhases.of(steps)
    assert 0 <= phases.tightening <= phases.held <= phases.frozen < steps
    if steps >= 30:
        assert 0 < phases.tightening < phases.held < phases.frozen
        assert phases.progress(phases.tightening - 1) == 0
        assert phases.progress(phases.held) == 1


def test_a_resumed_selector_goes_on_to_the_bit():
    steps = 30
    goal = goal_of(12, limit=3.0)
    whole = Drawn(2, "resnet", goal, bits=2, steps=steps)
    for number in range(steps):
        torch.manual_seed(number)
        whole.step(number)
    for stop in (2, 8, 16, 25):
        first, second = (Drawn(2, "resnet", goal, bits=2, steps=steps) for _ in range(2))
        for number in range(stop):
            torch.manual_seed(number)
            first.step(number)
        second.network.load_state_dict(first.network.state_dict())
        second.optimizer.load_state_dict(first.optimizer.state_dict())
        second.selector.load_state_dict(first.selector.state_dict())
        for number in range(stop, steps):
            torch.manual_seed(number)
            second.step(number)
        assert second.opened == whole.opened[stop:]
        assert second.selector.state(steps - 1) == whole.selector.state(steps - 1)
        mine, theirs = second.network.state_dict(), whole.network.state_dict()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_slopes_of_parts_of_a_batch_add_up():
    whole, parts = (Drawn(3, "resnet", goal_of(6, limit=2.0), bits=1, steps=30) for _ in range(2))
    images, switches = torch.randn(8, 6, 2, 2), torch.randint(0, 2, (8, 6)).float()
    weights = torch.randn(6)

    def model(inputs):
        return (inputs.mean((2, 3)) * weights).sum(1)

    for drawn, cuts in ((whole, [8]), (parts, [3, 5])):
        drawn.selector.begin(5)
        for part, given_switches in zip(images.split(cuts), switches.split(cuts), strict=True):
            drawn.selector._open = given_switches  # 0 and 1: nothing is left to chance
            loss = drawn.selector.forward(model, part).sum() / 8
            loss.backward()
            drawn.selector.observe(8)
        drawn.selector.learn()
    mine, theirs = (one.selector.state_dict()["sums"] for one in (whole, parts))
    torch.testing.assert_close(mine, theirs)
    slopes = -(images.mean((2, 3)) * weights).double()
    torch.testing.assert_close(mine[1, 1], (slopes * switches).sum(0))
    torch.testing.assert_close(mine[1, 0], (slopes * (1 - switches)).sum(0))
    torch.testing.assert_close(mine[0].sum(0), torch.full((6,), 8.0, dtype=torch.float64))


def test_in_evaluation_the_chosen_channels_pass():
    gate = SelectionGate(5)
    images = torch.randn(2, 5, 3, 3)
    gate.chosen.copy_(torch.tensor([True, False, True, False, False]))
    assert torch.equal(gate.train()(images), images)
    passed = gate.eval()(images)
    assert torch.equal(passed[:, [0, 2]], images[:, [0, 2]]) and not passed[:, [1, 3, 4]].any()
    exported = torch.export.export(gate, (images,))
    assert torch.equal(exported.module()(images), passed)


def test_goals_are_plain_data():
    goal = goal_of(3, [1.0, 2.0, 3.0], limit=3.5)
    assert (goal.total, goal.fixed) == (6.0, 0.0)
    assert goal.bytes_of(np.array([True, False, True])) == 4.0
    assert dataclasses.replace(goal, index_bytes=2.0).fixed == 2.0
