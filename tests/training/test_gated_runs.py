"""Runs of a gate that is told how much to keep: exact at the end, resumable, one choice for all."""

import dataclasses

import numpy as np
import pytest
import torch
from interrupting import interrupt_after

import freqprep
from freqprep.errors import RunError, UsageError
from freqprep.importance.score_file import read_scores
from freqprep.store.selection_costs import selection_costs
from freqprep.store.selection_file import read_document
from freqprep.store.selections import select
from freqprep.training import gate_map
from freqprep.training.checkpoint import load_model, read_checkpoint
from freqprep.training.distributed import World
from freqprep.training.evaluate_run import evaluate_run
from freqprep.training.loop import train
from freqprep.training.metrics import read_metrics
from freqprep.training.model_config import read_model_config
from freqprep.training.planning import plan
from freqprep.training.recipe import Recipe

pytestmark = pytest.mark.long

GATE = {"gate": True, "channels": "paper-64"}


@pytest.fixture(autouse=True)
def no_picture(monkeypatch):
    """Let no run draw its map: `test_the_map_is_drawn` draws one."""
    monkeypatch.setattr(gate_map, "as_png", lambda draw: b"\x89PNG")


@pytest.mark.parametrize(("epochs", "wanted"), [(1, 24), (1, 1), (3, 9)])
def test_a_run_ends_with_as_many_channels_as_asked(tiny, epochs, wanted):
    request = tiny(**GATE, gate_channels=wanted, epochs=epochs)
    config = train(request)
    gate = config.results["gate"]
    selection = select(str(request.run / gate["selection_file"]))
    assert (len(selection), gate["open"]) == (wanted, wanted)
    assert list(selection.names) == gate["channels"]
    assert read_document(request.run / gate["selection_file"])["made_from"]["count"] == wanted
    # The network answers with these channels alone, which it was trained on.
    _, network = load_model(request.run, torch.device("cpu"))
    used = np.array(select(list(config.inputs.channels)).indices)
    assert set(used[network.gate.chosen.numpy()]) == set(selection.indices)
    images = torch.randn(2, *config.inputs.shape)
    closed = ~network.gate.chosen
    other = images.clone()
    other[:, closed] = 1e3
    assert torch.equal(network(images), network(other))
    # The chosen are those that the scores rank first.
    scores = read_scores(request.run / gate["scores_file"])
    assert set(scores.order[:wanted]) == set(selection.indices)
    lines = read_metrics(request.run)
    trained = [line for line in lines if line["kind"] == "train"]
    assert trained[0]["channels_target"] <= 64 and trained[-1]["channels_open"] == wanted
    assert {"multiplier", "bytes_open"} <= trained[0].keys()
    epochs_seen = [line for line in lines if line["kind"] == "gates"]
    assert len(epochs_seen) == epochs and epochs_seen[-1]["frozen"]
    assert epochs_seen[-1]["bytes"] == pytest.approx(gate["bytes"])


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_budget_is_met_within_a_channel(tiny, store, share):
    """Against what `freqprep channels` says that selections take."""
    split = freqprep.open_store(store)["train"]
    (every,) = selection_costs([select("paper-64")], [split])
    budget = share * every.bytes_per_image
    request = tiny(**GATE, gate_budget=f"{budget:.3f}B/image", epochs=1)
    gate = train(request).results["gate"]
    selection = select(str(request.run / gate["selection_file"]))
    (found,) = selection_costs([selection], [split])
    assert found.bytes_per_image == pytest.approx(gate["bytes"])
    assert found.bytes_per_image <= budget + 0.001
    left = set(select("paper-64").indices) - set(selection.indices)
    costs = selection_costs([select([*selection.indices, index]) for index in left], [split])
    assert min(one.bytes_per_image for one in costs) > budget - 0.001
    lines = [line for line in read_metrics(request.run) if line["kind"] == "train"]
    assert lines[-1]["bytes_target"] == pytest.approx(budget, abs=0.001)


def test_an_interrupted_run_is_the_same_to_the_bit(tiny, tmp_path, monkeypatch):
    """Interrupted while tightened, held and frozen."""
    changes = {**GATE, "gate_channels": 10, "accumulate": 2}
    train(tiny(run=tmp_path / "one", **changes))
    other = tiny(run=tmp_path / "other", **changes)
    for steps in (2, 3, 2):
        with monkeypatch.context() as patch:
            interrupt_after(patch, steps)
            with pytest.raises(KeyboardInterrupt):
                train(other)
        other = dataclasses.replace(other, resume=True)
    train(other)
    one, again = (read_model_config(tmp_path / name) for name in ("one", "other"))
    assert one.results == again.results
    first, second = (read_checkpoint(tmp_path / name, one) for name in ("one", "other"))
    for part in ("network", "average"):
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    assert torch.equal(first["selector"]["sums"], second["selector"]["sums"])
    assert first["selector"]["frozen"] and second["selector"]["frozen"]
    told = [
        [(line["kind"], line.get("loss"), line.get("multiplier"), line.get("channels_open"))
         for line in read_metrics(tmp_path / name)]
        for name in ("one", "other")
    ]  # fmt: skip
    assert told[0] == told[1]
    with pytest.raises(RunError, match="gate_channels"):
        plan(dataclasses.replace(other, recipe=dataclasses.replace(other.recipe, gate_channels=9)))


def test_it_is_evaluated_with_the_choice(tiny, store):
    request = tiny(**GATE, gate_channels=5, epochs=1)
    validation = train(request).results["validation"]
    world = World(0, 1, torch.device("cpu"))
    scored = evaluate_run(request.run, store, "val", world, batch_size=32, threads=1).evaluation
    assert validation["top1_correct"] == scored.top1


def test_a_choice_begins_anew_from_another_runs_weights(tiny, tmp_path):
    train(tiny(**GATE, gate_channels=5, epochs=1))
    init = tiny().run / "checkpoint.pt"
    again = tiny(**GATE, gate_channels=7, epochs=1, init=init, run=tmp_path / "again")
    assert train(again).results["gate"]["open"] == 7
    first = next(line for line in read_metrics(again.run) if line["kind"] == "train")
    assert first["channels_open"] > 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate_channels": 65}, "cannot choose 65 of 64 channels"),
        ({"gate_budget": "1B/image"}, "leaves nothing to choose"),
        ({"gate_budget": "900MB/image"}, "leaves nothing to choose"),
        ({"gate_budget": "much"}, "bytes with a unit, got 'much'"),
        ({"gate_channels": 3, "gate": False}, "add --gate"),
    ],
)
def test_goals_that_cannot_be_met_are_refused(tiny, changes, words):
    with pytest.raises(UsageError) as caught:
        plan(tiny(**{**GATE, **changes}))
    assert words in f"{caught.value.message} {caught.value.remedy}"


def test_a_recipe_has_one_goal():
    with pytest.raises(UsageError, match="--gate-channels with --gate-budget"):
        Recipe(1, 2, 0.1, gate_channels=3, gate_budget="1KB/image")
    with pytest.raises(UsageError, match="--gate-channels with --gate-lambda"):
        Recipe(1, 2, 0.1, gate_channels=3, gate_lambda=0.1)
    with pytest.raises(UsageError, match="a gate for 0 channels"):
        Recipe(1, 2, 0.1, gate_channels=0)
    assert "gate_channels" not in Recipe(1, 2, 0.1).to_dict()
    assert Recipe(1, 2, 0.1, gate_channels=3).to_dict()["gate_channels"] == 3


def test_the_map_is_drawn(store, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    monkeypatch.undo()
    split = freqprep.open_store(store)["train"]
    chosen = list(select("square-24").indices)
    probability = {index: 1.0 if index in chosen else 0.1 for index in range(192)}
    assert gate_map.write_gate_map(tmp_path, probability, chosen, split)
    assert (tmp_path / gate_map.GATE_MAP).read_bytes().startswith(b"\x89PNG")
    assert gate_map.nearest_published(25).name == "square-24"
    from freqprep.report.style import LIGHT

    figure = gate_map.draw_gate_map(probability, chosen, split, LIGHT)
    assert [text.get_text() for text in figure.texts] == [
        "open with probability; chosen: 24",
        "energy, logarithmic; published: square-24",
        "energy, logarithmic; its first 24",
    ]
    outlined = [
        {patch.get_gid() for axes in figure.axes[row : row + 3] for patch in axes.patches}
        for row in (0, 3, 6)
    ]
    assert len(outlined[0]) == 2 * 24 and outlined[0] == outlined[1]
