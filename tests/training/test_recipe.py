"""Recipes: learning rates, presets, and what is refused."""

import dataclasses
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from freqprep.errors import UsageError  # noqa: E402
from freqprep.training.recipe import PRESETS, Recipe, preset_recipe  # noqa: E402


@given(
    epochs=st.integers(1, 50),
    steps=st.integers(1, 20),
    warmup=st.floats(0, 0.3),
    schedule=st.sampled_from(["cosine", "steps"]),
)
def test_the_learning_rate_rises_to_lr_and_never_again(epochs, steps, warmup, schedule):
    recipe = Recipe(epochs, 8, 0.3, schedule=schedule, warmup_epochs=warmup * epochs)
    rates = [recipe.learning_rate(step, steps) for step in range(epochs * steps)]
    assert all(0 <= rate <= 0.3 + 1e-12 for rate in rates)
    peak = rates.index(max(rates))
    assert all(a <= b + 1e-12 for a, b in pairwise(rates[: peak + 1]))
    assert all(a + 1e-12 >= b for a, b in pairwise(rates[peak:]))


def test_cosine_ends_near_zero_and_is_half_way_in_the_middle():
    recipe = Recipe(10, 8, 1.0, warmup_epochs=0)
    assert recipe.learning_rate(0, 100) == 1.0
    assert recipe.learning_rate(500, 100) == pytest.approx(0.5)
    assert recipe.learning_rate(999, 100) < 1e-4


def test_steps_drop_to_a_tenth_at_the_published_epochs():
    recipe = PRESETS["paper"]["resnet50"]
    rates = {epoch: recipe.learning_rate(epoch * 7, 7) for epoch in range(210)}
    expected = {0: 0.1, 69: 0.1, 70: 0.01, 139: 0.01, 140: 1e-3, 174: 1e-3, 175: 1e-4, 209: 1e-4}
    for epoch, rate in expected.items():
        assert rates[epoch] == pytest.approx(rate)


def test_the_learning_rate_follows_the_batch_unless_it_is_given():
    whole, half = (preset_recipe("short", "resnet50", batch_size=size) for size in (256, 128))
    assert half.lr == pytest.approx(whole.lr / 2)
    assert preset_recipe("short", "resnet50", batch_size=128, lr=0.4).lr == 0.4
    assert preset_recipe("short", "resnet50", epochs=5).warmup_epochs == 1.0


def with_tuples(values):
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("model", ["resnet50", "mobilenet_v2", "maskrcnn_resnet50_fpn"])
def test_presets_are_json_data(name, model):
    recipe = preset_recipe(name, model)
    document = json.loads(json.dumps(recipe.to_dict()))
    policy = type(recipe.policy)(**with_tuples(document.pop("policy")))
    assert Recipe(**with_tuples(document), policy=policy) == recipe


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"accumulate": 0},
        {"accumulate": 9},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"schedule": "linear"},
        {"label_smoothing": 1.0},
        {"mixup": float("inf")},
        {"average": 1.0},
        {"gate_lambda": -1.0},
    ],
)
def test_numbers_out_of_range_are_refused_by_name(change):
    (value,) = change.values()
    with pytest.raises(UsageError, match=str(value).removeprefix("-")):
        dataclasses.replace(Recipe(1, 8, 0.1), **change)


def test_an_unknown_preset_names_the_known():
    with pytest.raises(UsageError, match="short or paper"):
        preset_recipe("long", "resnet50")


def test_an_unknown_model_names_the_known():
    with pytest.raises(UsageError, match=r"vgg16.*resnet50 or mobilenet_v2"):
        preset_recipe("short", "vgg16")


def test_one_epoch_of_steps_begins_at_the_full_rate():
    recipe = preset_recipe("paper", "resnet50", epochs=1)
    rates = [recipe.learning_rate(step, 6) / recipe.lr for step in range(6)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 1e-3])
