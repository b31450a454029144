"""Accuracy: equal to counting by hand, whatever the batches and the number of processes."""

import dataclasses
import json
import math

import numpy as np
import pytest
import runs
import torch
from hypothesis import given
from hypothesis import strategies as st

from freqprep.errors import CorruptStoreError
from freqprep.store.reader import open_store
from freqprep.training.checkpoint import load_model
from freqprep.training.distributed import World
from freqprep.training.evaluate_classifier import evaluate_classifier, rank_of_target

ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def splits(store):
    """train: 155 valid images of 160; val: 19 of 24."""
    return open_store(store)


@pytest.fixture(scope="module")
def model(run_folder):
    return load_model(run_folder, torch.device("cpu"))


@pytest.fixture(scope="module")
def logits(model, splits):
    """Of all valid rows of train, float64."""
    config, network = model
    with torch.inference_mode():
        return network(runs.inputs_of(config, splits["train"])).double().numpy()


def found(model, split, answers=(0, 1, 2), batch_size=32):
    config, network = model
    return evaluate_classifier(
        network, config.inputs, split, np.array(answers), ALONE, batch_size=batch_size, threads=1
    )


@pytest.mark.parametrize("batch_size", [1000, 32, 7])
def test_counts_are_those_made_by_hand(model, splits, logits, batch_size):
    split = splits["train"]
    result = found(model, split, batch_size=batch_size)
    labels = split.labels[split.valid]
    correct = logits.argmax(1) == labels
    assert (result.images, result.rejected, result.answerable) == (155, 5, 155)
    assert result.top1 == correct.sum() and 0 < result.top1 < 155
    assert result.top5 == 155
    for label in range(3):
        assert result.class_images[label] == (labels == label).sum()
        assert result.class_correct[label] == correct[labels == label].sum()
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(155), labels]
    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)
    document = result.to_dict()
    assert document["top1"] == result.top1 / 155
    assert document["strict_top1"] == result.top1 / 160
    assert document["top5"] == 1


def test_the_mode_is_put_back_and_nothing_is_learnt(model, splits):
    _, network = model
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    first = found(model, splits["val"])
    assert network.training
    network.eval()
    second = found(model, splits["val"])
    assert not network.training
    assert first.loss == second.loss
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_classes_are_looked_up_and_those_without_an_answer_are_wrong(model, splits, logits):
    split = splits["train"]
    labels = split.labels[split.valid]
    for answers in ((2, 0, 1), (1, -1, 0), (-1, -1, 2)):
        result = found(model, split, answers)
        wanted = np.array(answers)[labels]
        known = wanted >= 0
        assert result.answerable == known.sum()
        assert result.top5 == known.sum()
        correct = known & (logits.argmax(1) == wanted)
        assert result.top1 == correct.sum()
        assert result.class_images.tolist() == np.bincount(labels).tolist()
        assert result.class_correct.tolist() == np.bincount(labels[correct], minlength=3).tolist()
    nothing = found(model, split, (-1, -1, -1))
    assert (nothing.top1, nothing.top5, nothing.answerable) == (0, 0, 0)
    assert math.isnan(nothing.loss) and nothing.to_dict()["loss"] is None


def test_a_network_that_answers_nan_is_always_wrong(model, splits):
    config, network = model

    def broken(images):
        return network(images) * torch.nan

    module = torch.nn.Module()
    module.forward = broken
    result = found((config, module), splits["val"])
    assert (result.images, result.top1, result.top5) == (19, 0, 0)
    assert result.to_dict()["loss"] is None


def relabelled(split, labels):
    """The same split with other labels."""
    copy = type(split)(split.path)
    copy.__dict__["labels"] = np.asarray(labels, np.int64)
    return copy


def test_images_without_a_label_are_in_no_class(model, splits):
    split = splits["val"]
    labels = split.labels.copy()
    labels[split.valid.nonzero()[0][:4]] = -1
    result = found(model, relabelled(split, labels))
    assert (result.images, result.answerable, result.top5) == (19, 15, 15)
    assert result.class_images.sum() == 15


def test_a_label_beyond_the_classes_is_named(model, splits):
    split = splits["val"]
    with pytest.raises(CorruptStoreError, match="label 7 and only 3 classes"):
        found(model, relabelled(split, np.where(split.labels == 2, 7, split.labels)))


@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=7, max_size=7), min_size=1, max_size=9),
    st.integers(0, 6),
)
def test_the_place_of_a_class_is_its_index_after_a_stable_sort(rows, answer):
    found = rank_of_target(
        torch.tensor(rows, dtype=torch.float32), torch.full((len(rows),), answer)
    )
    for row, place in zip(rows, found.tolist(), strict=True):
        order = sorted(range(7), key=lambda index: -row[index])
        assert order.index(answer) == place
        assert (place == 0) == (torch.tensor(row).argmax().item() == answer)


def test_nan_has_no_place():
    logits = torch.tensor([[math.nan, 0, 1], [0, math.nan, 1], [math.inf, 0, -math.inf]])
    assert rank_of_target(logits, torch.tensor([0, 2, 0])).tolist() == [5, 5, 0]


def test_a_result_is_json_data(model, splits):
    result = found(model, splits["val"])
    assert set(dataclasses.asdict(result)) == {
        *("images", "rejected", "answerable", "loss", "top1", "top5"),
        *("class_correct", "class_images", "per_image"),
    }
    json.dumps(result.to_dict(), allow_nan=False)
