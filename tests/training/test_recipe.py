"""Recipes: learning rates, presets, and what is refused."""

import dataclasses
import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqprep.errors import UsageError
from freqprep.training.recipe import PRESETS, Recipe, preset_recipe


@given(
    epochs=st.integers(1, 50),
    steps=st.integers(1, 20),
    warmup=st.floats(0, 0.3),
    schedule=st.sampled_from(["cosine", "linear", "steps"]),
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


def test_linear_falls_by_the_same_with_each_step():
    recipe = Recipe(4, 8, 1.0, schedule="linear", warmup_epochs=1)
    rates = [recipe.learning_rate(step, 25) for step in range(25, 100)]
    assert rates[0] == 1.0 and recipe.learning_rate(0, 25) == pytest.approx(1 / 25)
    assert [a - b for a, b in pairwise(rates)] == pytest.approx([1 / 75] * 74)
    assert recipe.learning_rate(100, 25) == 0


@given(st.integers(1, 300), st.integers(1, 256), st.integers(0, 100))
def test_the_grid_rises_from_the_first_to_the_last(epochs, first, more):
    recipe = Recipe(epochs, 8, 0.3, grid_ramp=(first, first + more))
    grids = [recipe.training_grid(epoch, 300) for epoch in range(epochs)]
    assert grids == sorted(grids)
    assert grids[-1] == first + more and grids[0] == (first if epochs > 1 else first + more)
    assert all(grid % 8 == 0 for grid in grids if first < grid < first + more)
    assert dataclasses.replace(recipe, grid_ramp=None).training_grid(0, 300) == 300


@pytest.mark.parametrize("epochs", [16, 32])
def test_the_grid_of_the_fast_preset_is_the_published_resolution(epochs):
    """That of FFCV in pixels: interpolated between epochs 11 and 13 of 16, to multiples of 32."""
    recipe = preset_recipe("fast", "resnet50", epochs=epochs)
    ramp = [11 * epochs // 16, 13 * epochs // 16]
    for epoch in range(epochs):
        published = 32 * np.round(np.interp(epoch, ramp, [160, 192]) / 32)
        assert 4 * recipe.training_grid(epoch, 56) == published


def test_the_fast_preset_has_the_published_numbers():
    recipe = preset_recipe("fast", "resnet50", batch_size=4096)
    assert (recipe.lr, recipe.epochs, recipe.label_smoothing) == (pytest.approx(1.7), 16, 0.1)
    rates = [recipe.learning_rate(epoch * 100, 100) for epoch in range(17)]
    published = np.interp(range(17), [0, 2, 16], [0, 1.7, 0])
    np.testing.assert_allclose(rates, published, atol=0.01)
    with pytest.raises(UsageError, match="'maskrcnn_resnet50_fpn' with preset 'fast' cannot"):
        preset_recipe("fast", "maskrcnn_resnet50_fpn")


def test_a_recipe_without_a_ramp_is_written_as_before_there_were_any():
    plain = Recipe(3, 8, 0.1)
    assert "grid_ramp" not in plain.to_dict()
    ramped = dataclasses.replace(plain, grid_ramp=(20, 28)).to_dict()
    assert ramped == plain.to_dict() | {"grid_ramp": [20, 28]}


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


@pytest.mark.parametrize(
    ("name", "model"), [(name, model) for name, models in PRESETS.items() for model in models]
)
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
        {"schedule": "line"},
        {"label_smoothing": 1.0},
        {"mixup": float("inf")},
        {"average": 1.0},
        {"gate_lambda": -1.0},
        {"grid_ramp": (28, 20)},
        {"grid_ramp": (0, 20)},
    ],
)
def test_numbers_out_of_range_are_refused_by_name(change):
    (value,) = change.values()
    with pytest.raises(UsageError, match=re.escape(str(value).removeprefix("-"))):
        dataclasses.replace(Recipe(1, 8, 0.1), **change)


def test_an_unknown_preset_names_the_known():
    with pytest.raises(UsageError, match="short or fast or paper"):
        preset_recipe("long", "resnet50")


def test_an_unknown_model_names_the_known():
    with pytest.raises(UsageError, match=r"vgg16.*resnet50 or mobilenet_v2"):
        preset_recipe("short", "vgg16")


def test_one_epoch_of_steps_begins_at_the_full_rate():
    recipe = preset_recipe("paper", "resnet50", epochs=1)
    rates = [recipe.learning_rate(step, 6) / recipe.lr for step in range(6)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 1e-3])
