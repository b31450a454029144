"""A run is a function of its request: to the bit, also when it is interrupted and resumed."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from interrupting import interrupt_after
from tiny_runs import tiny_request

import freqprep
from freqprep.augment import Policy
from freqprep.errors import RunError, UsageError
from freqprep.storage.document_hash import with_hash
from freqprep.store.layout import MODEL_FILE
from freqprep.training import loop
from freqprep.training.checkpoint import (
    AVERAGE,
    CHECKPOINT,
    NETWORK,
    load_model,
    read_checkpoint,
)
from freqprep.training.classifier_task import ClassifierTask
from freqprep.training.distributed import World
from freqprep.training.evaluate_run import evaluate_run
from freqprep.training.loop import train
from freqprep.training.metrics import METRICS, read_metrics
from freqprep.training.model_config import read_model_config
from freqprep.training.sweep import sweep

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    """The folder of a run of one epoch. Read only."""
    request = tiny_request(store, tmp_path_factory.mktemp("trained") / "run", epochs=1)
    train(request)
    return request.run


@pytest.fixture
def finished(tiny, trained):
    """The request of a run of one epoch that is finished, in a folder of this test."""
    request = tiny(epochs=1)
    shutil.copytree(trained, request.run)
    return request


def weights(folder):
    state = read_checkpoint(folder, read_model_config(folder))
    return {f"{part} {n}": t for part in (NETWORK, AVERAGE) for n, t in state[part].items()}


def losses(folder):
    return [
        (line["kind"], line["steps"], line.get("loss"), line.get("open"))
        for line in read_metrics(folder)
    ]


def assert_same(one, other):
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
    assert losses(one) == losses(other)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gate": True, "channels": "paper-6", "gate_lambda": 0.2},
        {"mixup": 0.2, "cutmix": 1.0, "accumulate": 2},
        {"input": "rgb", "channels": None, "read": "paper-6"},
    ],
    ids=["plain", "gate", "mixed", "rgb"],
)
def test_the_same_request_gives_the_same_weights(tiny, tmp_path, changes, monkeypatch):
    train(tiny(run=tmp_path / "one", **changes))
    whole = losses(tmp_path / "one")
    kinds = [*["train"] * 4, "validation", *["gates"] * ("gate" in changes)]
    assert [kind for kind, *_ in whole] == kinds * 2
    # Interrupted twice, in the middle of the first and of the second epoch.
    other = tiny(run=tmp_path / "other", **changes)
    for steps in (2, 4):
        with monkeypatch.context() as patch:
            interrupt_after(patch, steps)
            with pytest.raises(KeyboardInterrupt):
                train(other)
        other = dataclasses.replace(other, resume=True)
    config = train(other)
    assert_same(tmp_path / "one", tmp_path / "other")
    assert config.results == read_model_config(tmp_path / "one").results


def test_another_seed_is_another_run(tiny, trained):
    request = tiny(seed=1, epochs=1)
    train(request)
    assert losses(request.run) != losses(trained)


def test_lines_written_after_the_checkpoint_are_cut(tiny, tmp_path, monkeypatch):
    train(tiny(run=tmp_path / "one"))
    request = tiny(run=tmp_path / "other")

    class Killed(Exception):
        pass

    def save(run, real=loop.RunState.save):
        if run.epochs_done == 2:
            raise Killed  # before the second checkpoint
        real(run)

    with monkeypatch.context() as patch:
        patch.setattr(loop.RunState, "save", save)
        with pytest.raises(Killed):
            train(request)
    assert len(losses(tmp_path / "other")) == 10
    train(dataclasses.replace(request, resume=True))
    assert_same(tmp_path / "one", tmp_path / "other")


def test_what_was_measured_for_a_run_is_kept(tiny, monkeypatch):
    """Also if another version measured something else."""
    request = tiny()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(request)
    config = read_model_config(request.run)
    inputs = dataclasses.replace(config.inputs, mean=(1.5,) * 6, std=(80.0,) * 6)
    begun = dataclasses.replace(config, inputs=inputs)
    planned = planning_with(request, begun)
    assert planned == inputs
    assert planning_with(dataclasses.replace(request, grid=17), begun).side == 136


def planning_with(request, begun):
    split = freqprep.open_store(request.store)[request.train_split]
    return ClassifierTask.prepare(request, split, None, 1, begun)


def test_a_finished_run_is_not_trained_again(finished):
    request, config = finished, read_model_config(finished.run)
    before = {path.name: path.read_bytes() for path in request.run.iterdir()}
    assert train(dataclasses.replace(request, resume=True)) == config
    assert {path.name: path.read_bytes() for path in request.run.iterdir()} == before


def test_accumulating_gives_nearly_the_same_gradients(tiny, tmp_path):
    """But for the norms, whose batches are smaller: without them it is the same sum."""
    for parts in (1, 4):
        train(tiny(run=tmp_path / str(parts), epochs=1, accumulate=parts, lr=1e-6, average=0.0))
    one, four = (weights(tmp_path / str(parts)) for parts in (1, 4))
    name = f"{NETWORK} classifier.1.bias"
    torch.testing.assert_close(one[name], four[name], rtol=1e-2, atol=1e-7)


def test_the_card_says_what_was_trained_and_what_came_of_it(tiny, store):
    request = tiny(epochs=1)
    config = train(request)
    assert config == read_model_config(request.run)
    assert config.model == "mobilenet_v2"
    assert config.inputs.shape == (6, 16, 16)
    assert config.class_ids == ("apple", "brick", "cloud")
    results = config.results
    assert results["validation"]["images"] == 19 and results["validation"]["rejected"] == 5
    assert 0 < results["read_bytes_per_image"] < results["source_bytes_per_image"] * 40
    parameters = sum(t.numel() for n, t in weights(request.run).items() if _is_parameter(n))
    assert results["parameters"] == parameters
    assert json.loads((request.run / MODEL_FILE).read_text()) == with_hash(config.to_dict())


def _is_parameter(name):
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return name.startswith(f"{AVERAGE} ") and not name.endswith(buffers)


def test_a_run_of_a_gate_ends_with_a_selection(tiny, store):
    from freqprep.importance.score_file import read_scores
    from freqprep.store.selections import select

    request = tiny(gate=True, channels=None, epochs=1, gate_lambda=1.0)
    gate = train(request).results["gate"]
    selection = select(str(request.run / gate["selection_file"]))
    assert list(selection.names) == gate["channels"]
    assert len(selection) == max(1, round(gate["open"]))
    scores = read_scores(request.run / gate["scores_file"])
    assert scores.name == "gate"
    assert np.all((scores.values >= 0) & (scores.values <= 1))
    assert list(scores.order[: len(selection)]) == list(selection.indices)
    first, *_, last = read_metrics(request.run)
    assert 0 < first["gates_open"] <= 1
    assert (last["kind"], len(last["probabilities"]), last["open"]) == ("gates", 192, gate["open"])


def test_a_sweep_trains_a_run_for_each_weight(tiny):
    rows = sweep(tiny(gate=True, epochs=1), [0.0, 50.0])
    assert [row["lambda"] for row in rows] == [0.0, 50.0]
    assert rows[0]["open"] >= rows[1]["open"]
    with pytest.raises(UsageError, match="same weight twice"):
        sweep(tiny(gate=True), [0.5, 0.5])
    assert all(read_model_config(tiny().run / f"lambda-{w}").gate for w in ("0.0", "50.0"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "vgg16"}, "vgg16"),
        ({"grid": 15}, "15"),
        ({"grid": 10**6}, "1000000"),
        ({"channels": "y_9_9"}, "y_9_9"),
        ({"channels": ""}, "unknown channel"),
        ({"channels": "paper-32", "read": "paper-6"}, "read"),
        ({"input": "rgb"}, "RGB"),
        ({"input": "sound", "channels": None}, "sound"),
        ({"strides": "authors"}, "authors"),
        ({"train_split": "test"}, "test"),
        ({"val_split": "test"}, "test"),
        ({"batch_size": 1000}, "1000"),
        ({"threads": 0}, "0"),
        ({"device": "toaster"}, "toaster"),
        ({"seed": -1}, "-1"),
        ({"batch_size": 1}, "1 image for a step"),
        ({"accumulate": 17}, "1 image for a step"),
        ({"policy": Policy(aligned=True)}, "whole blocks"),
        ({"init": Path("nothing.pt")}, "nothing.pt"),
        ({"lanes": 40}, "lanes=40"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(tiny, changes, words):
    request = tiny(**changes)
    with pytest.raises(UsageError, match=words):
        train(request)
    assert not request.run.exists()


def test_a_folder_with_a_run_is_not_overwritten(tiny, finished):
    with pytest.raises(UsageError, match="--resume"):
        train(finished)
    for changes, words in (
        ({"channels": "paper-32"}, "inputs.channels"),
        ({"epochs": 3}, "recipe.epochs is 1, now 3"),
        ({"seed": 5}, "recipe.seed is 0, now 5"),
    ):
        with pytest.raises(RunError, match=words):
            train(dataclasses.replace(tiny(**{"epochs": 1, **changes}), resume=True))


def test_a_checkpoint_of_another_selection_is_refused(tiny, tmp_path):
    """The tensors would fit: only what they mean differs."""
    requests = [
        tiny(epochs=1, run=tmp_path / name, channels=channels, read="paper-64")
        for name, channels in (("one", ["y_0_0", "y_0_1"]), ("other", ["y_3_3", "y_4_3"]))
    ]
    for request in requests:
        train(request)
    shutil.copy(requests[0].run / CHECKPOINT, requests[1].run / CHECKPOINT)
    with pytest.raises(RunError, match="of another run than the config"):
        train(dataclasses.replace(requests[1], resume=True))
    with pytest.raises(RunError, match="of another run than the config"):
        load_model(requests[1].run, torch.device("cpu"))


def test_a_run_begun_with_other_weights_is_another_run(tiny, trained):
    begun = tiny(epochs=1, init=trained / CHECKPOINT)
    train(begun)
    assert losses(trained) != losses(begun.run)
    with pytest.raises(RunError, match=r"recipe\.init"):
        train(dataclasses.replace(begun, init=None, resume=True))


def test_nothing_of_others_is_overwritten(tiny, store, tmp_path):
    for name in (METRICS, CHECKPOINT):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(UsageError, match=f"has a {name} of something else"):
            train(tiny(run=folder))
        assert (folder / name).read_text() == "mine"
    for folder in (store, store / "train" / "run", store / ".selections"):
        with pytest.raises(UsageError, match="lies in the store"):
            train(tiny(run=folder))


def test_what_a_killed_run_wrote_aside_is_removed(finished):
    request = finished
    (request.run / ".writing-checkpoint.pt-abc").write_bytes(b"half")
    (request.run / "notes.txt").write_text("mine")
    train(dataclasses.replace(request, resume=True))
    assert {path.name for path in request.run.iterdir()} == {
        *("model.json", "checkpoint.pt", "metrics.jsonl", "curves.png", "notes.txt")
    }


def test_classes_are_matched_by_id_in_validation(tiny, tmp_path, source):
    """A split that was copied from elsewhere may lack a class."""
    import synthetic

    shutil.copytree(source / "train", tmp_path / "more" / "train")
    (tmp_path / "more" / "train" / "aaa").mkdir()
    picture = next((source / "train" / "apple").iterdir())
    shutil.copy(picture, tmp_path / "more" / "train" / "aaa")
    store = synthetic.make(tmp_path / "more", tmp_path / "more.zarr")
    other = synthetic.make(source, tmp_path / "other.zarr")
    shutil.copytree(other / "val", store / "val")
    request = tiny(store=store, epochs=1)
    trained = train(request).results["validation"]
    world = World(0, 1, torch.device("cpu"))
    scored = evaluate_run(request.run, store, "val", world, batch_size=32, threads=1).evaluation
    assert trained["top1_correct"] == scored.top1


def test_other_data_under_the_same_name_is_refused(tiny, tmp_path, source):
    import synthetic

    request = tiny(epochs=1, store=synthetic.make(source, tmp_path / "s.zarr"))
    train(request)
    synthetic.make(source, tmp_path / "s.zarr", seed=1, overwrite=True)
    with pytest.raises(RunError, match=r"content_ids\.train"):
        train(dataclasses.replace(request, resume=True))


def test_a_loss_that_is_not_finite_ends_the_run(tiny):
    with pytest.raises(RunError, match="smaller --lr"):
        train(tiny(lr=1e30, warmup_epochs=0.0))


def test_one_class_is_nothing_to_learn(tiny, tmp_path):
    import synthetic

    for split in ("train", "val"):
        (tmp_path / "one" / split / "cat").mkdir(parents=True)
        for number in range(4):
            image = synthetic.picture(number)
            (tmp_path / "one" / split / "cat" / f"{number}.jpg").write_bytes(image)
    store = synthetic.make(tmp_path / "one", tmp_path / "one.zarr")
    with pytest.raises(UsageError, match="of one class, 'cat'"):
        train(tiny(store=store))


def test_labels_are_needed(tiny):
    golden = Path(__file__).resolve().parents[1] / "golden" / "format-1.0-coco.zarr"
    with pytest.raises(UsageError, match="no labels"):
        train(tiny(store=golden, train_split="val"))
