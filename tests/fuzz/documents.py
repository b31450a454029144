"""Mutants of selections, steps, scores, model cards, checkpoints and stores."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import synthetic
from fuzz.mutation import mutant, mutant_document

import freqprep
from freqprep.engines import Workers
from freqprep.errors import FreqprepError
from freqprep.importance.score_file import read_scores
from freqprep.spectrum.channels import NAMES
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, Manifest, content_id
from freqprep.store.selection_file import read_selection, write_selection
from freqprep.store.steps_file import read_steps, write_steps
from freqprep.store.summary import summarize
from freqprep.store.verify import verify

Read = Callable[[Path], Any]


def written(path: Path, data: bytes, read: Read) -> str:
    """Write a file and read it."""
    path.write_bytes(data)
    read(path)
    return "accepted"


def changed(data: bytes, chance: random.Random) -> bytes:
    """Change a JSON file in its values, or in its bytes."""
    if chance.random() < 0.3:
        return mutant(data, chance)
    return json.dumps(mutant_document(json.loads(data), chance)).encode()


def file_of(make: Callable[[Path], bytes], read: Read) -> tuple[Any, Any]:
    """Return seeds and run of a kind of JSON file."""

    def seeds(folder: Path) -> bytes:
        return make(folder)

    def run(data: bytes, chance: random.Random, folder: Path) -> str:
        return written(folder / "mutant.json", changed(data, chance), read)

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
    return json.dumps({"format": "freqprep-scores", "name": "mine", "values": values}).encode()


SELECTIONS = file_of(selection, read_selection)
STEPS = file_of(steps, read_steps)
SCORES = file_of(scores, read_scores)


def card_seeds(folder: Path) -> bytes:
    import runs

    store = synthetic.make(synthetic.image_folder(folder / "of-card", {"train": 3}), folder / "c")
    config = runs.make_config(freqprep.open_store(store)["train"])
    return json.dumps(config.to_dict()).encode()


def card_run(data: bytes, chance: random.Random, folder: Path) -> str:
    from freqprep.training.model_config import read_model_config

    (folder / "run").mkdir(exist_ok=True)
    path = folder / "run/model.json"
    return written(path, changed(data, chance), lambda found: read_model_config(found.parent))


def checkpoint_seeds(_folder: Path) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save({"format": "freqprep-checkpoint", "network": {"a": torch.arange(9.0)}}, buffer)
    return buffer.getvalue()


def checkpoint_run(data: bytes, chance: random.Random, folder: Path) -> str:
    from freqprep.models.weight_files import load_torch_file

    try:
        return written(folder / "checkpoint.pt", mutant(data, chance), load_torch_file)
    except ValueError:
        return "rejected"


def store_seeds(folder: Path) -> Path:
    return synthetic.make(
        synthetic.image_folder(folder / "images", {"train": 12}, corrupt=1), folder / "whole.zarr"
    )


def store_run(whole: Path, chance: random.Random, folder: Path) -> str:
    """Make a store that contradicts itself behind right hashes; read all that there is."""
    store = folder / "mutant.zarr"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(whole, store)
    split = store / "train"
    document = json.loads((split / MANIFEST).read_bytes())
    files = sorted(path for path in split.rglob("*") if path.is_file() and path.name != MANIFEST)
    if chance.random() < 0.5:
        document = mutant_document(document, chance)
    else:
        path = chance.choice([path for path in files if path != split / GROUP_DOCUMENT])
        data = path.read_bytes()
        new = changed(data, chance) if path.name == GROUP_DOCUMENT else mutant(data, chance)
        path.write_bytes(new)
        name = path.relative_to(split).as_posix()
        document["files"][name] = [len(new), content_id(new)]
    _seal(split, document)
    found = verify(store, Workers(1))
    opened = freqprep.open_store(store)["train"]
    summarize(opened)
    opened.read_codes(np.flatnonzero(opened.valid)[:3])
    assert opened.labels.size == len(list(opened.keys)) == len(opened)
    return "a problem found" if found.problems else "accepted"


def _seal(split: Path, document: Any) -> None:
    """Write a manifest, and the group's document that follows from it if one does."""
    try:
        manifest = Manifest(document["attributes"], {})
        data = json.dumps(document).encode()
        group = {"attributes": {**manifest.attributes, "content_id": content_id(data)}}
    except (KeyError, TypeError, FreqprepError):
        data, group = json.dumps(document).encode(), {"attributes": {}}
    (split / MANIFEST).write_bytes(data)
    text = json.dumps({**group, "zarr_format": 3, "node_type": "group"})
    (split / GROUP_DOCUMENT).write_text(text)
