"""Mutants of selections, steps, scores and model cards."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import synthetic
from fuzz.sealed import document

import freqprep
from freqprep.importance.score_file import read_scores
from freqprep.spectrum.channels import NAMES
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.storage.document_hash import with_hash
from freqprep.store.selection_file import read_selection, write_selection
from freqprep.store.steps_file import read_steps, write_steps

Read = Callable[[Path], Any]

BUILT = 0.1
"""Share of model cards that are read whose networks are built, without memory for weights."""


def file_of(make: Callable[[Path], bytes], read: Read) -> tuple[Any, Any]:
    """Return seeds and run of a kind of JSON file."""

    def seeds(folder: Path) -> bytes:
        return make(folder)

    def run(data: bytes, chance: random.Random, folder: Path) -> str:
        path = folder / "mutant.json"
        path.write_bytes(document(data, chance))
        read(path)
        return "accepted"

    return seeds, run


def selection(folder: Path) -> bytes:
    path = folder / "seed.json"
    write_selection(path, freqprep.channels("square-24"), {"by": "hand", "count": 24})
    return path.read_bytes()


def steps(folder: Path) -> bytes:
    path = folder / "seed.steps.json"
    write_steps(path, PRECISIONS["compact"])
    return path.read_bytes()


def scores(_folder: Path) -> bytes:
    values = dict.fromkeys(NAMES, 1.5)
    found = {"format": "freqprep-scores", "name": "mine", "meaning": "a", "unit": "b"}
    return json.dumps(with_hash({**found, "values": values})).encode()


SELECTIONS = file_of(selection, read_selection)
STEPS = file_of(steps, read_steps)
SCORES = file_of(scores, read_scores)


def card_seeds(folder: Path) -> list[bytes]:
    import runs

    store = synthetic.make(synthetic.image_folder(folder / "of-card", {"train": 3}), folder / "c")
    split = freqprep.open_store(store)["train"]
    configs = [
        runs.make_config(split, gate=True),
        runs.make_config(split, "rgb"),
        runs.make_detector_config(split),
    ]
    return [json.dumps(with_hash(config.to_dict())).encode() for config in configs]


def card_run(cards: list[bytes], chance: random.Random, folder: Path) -> str:
    """Read a card, and say what its network is; sometimes, build it."""
    import torch

    from freqprep.training.model_config import read_model_config

    (folder / "run").mkdir(exist_ok=True)
    (folder / "run/model.json").write_bytes(document(chance.choice(cards), chance))
    config = read_model_config(folder / "run")
    assert config.identity and json.dumps(config.to_dict())
    if chance.random() < BUILT:
        with torch.device("meta"):
            config.build()
        return "accepted and built"
    return "accepted"
