"""Checks of a training request before any work starts, and what follows from it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from freqprep.augment import ClassifierInput, DetectorInput
from freqprep.errors import CorruptStoreError, RunError, UsageError, did_you_mean
from freqprep.storage.paths import as_path, hash_file
from freqprep.storage.strict_json import parse
from freqprep.store.layout import MODEL_FILE
from freqprep.store.reader import Store, open_store
from freqprep.store.split import Split
from freqprep.streaming.misuse import checked_split
from freqprep.training.channels import check_stored
from freqprep.training.checkpoint import CHECKPOINT
from freqprep.training.model_config import ModelConfig, read_model_config
from freqprep.training.request import RUN_FILES, RunPlan, TrainingRequest
from freqprep.training.tasks import TASKS


def plan(request: TrainingRequest, processes: int = 1) -> RunPlan:
    """Check a request against the store and the run's folder.

    Parameters
    ----------
    request : TrainingRequest
    processes : int
        Number of processes that share the work.

    Returns
    -------
    RunPlan

    Raises
    ------
    UsageError
        Something asked for cannot be done; the text says what and what could.
    RunError
        The run in the folder was another one.
    """
    if request.model not in TASKS:
        raise UsageError(
            f"model {request.model!r} does not exist",
            f"{did_you_mean(request.model, TASKS)}use {' or '.join(TASKS)}",
        )
    if request.threads is not None and request.threads < 1:
        raise UsageError(f"--threads must be at least 1, got {request.threads}")
    task = TASKS[request.model]
    begun = _check_folder(request)
    store = open_store(request.store)
    train, val = _cached(store[request.train_split], request), _validation(store, request)
    inputs = task.prepare(request, train, val, processes, begun)
    if val is not None:
        check_stored(inputs, val)
    config = _config(request, inputs, train, val)
    if begun is not None:
        ours = parse(json.dumps(config.to_dict()))
        _refuse_another(request.run, begun.to_dict(), ours)
    resumes = begun is not None and (request.run / CHECKPOINT).exists()
    planned = RunPlan(config, train, val, resumes, ())
    notes = task.notes(planned)
    if val is None:
        notes.append(f"no validation: {request.store} has no other split named val")
    if request.resume and not resumes:
        notes.append(f"nothing to resume in {request.run}: starting")
    return dataclasses.replace(planned, notes=tuple(notes))


def check_unchanged(request: TrainingRequest, planned: RunPlan) -> None:
    """Check, under the run's lock, that no other training ended between the plan and the lock.

    Raises
    ------
    RunError
        One did: the plan would begin again what it has trained.
    """
    if (request.run / CHECKPOINT).exists() != planned.resumes:
        raise RunError(
            f"another command has just trained in {request.run}",
            "run again with --resume, or name another --run",
        )


def _config(
    request: TrainingRequest,
    inputs: ClassifierInput | DetectorInput,
    train: Split,
    val: Split | None,
) -> ModelConfig:
    attributes, task = train.attributes, TASKS[request.model]
    recipe = {
        **request.recipe.to_dict(),
        "seed": request.seed,
        "lanes": request.lanes,
        "init": None if request.init is None else _hash(request.init),
        **task.recipe_fields(request, train),
    }
    return ModelConfig(
        model=request.model,
        strides=request.strides,
        gate=request.gate,
        patches=request.patches,
        inputs=inputs,
        encoding=attributes.encoding,
        class_ids=attributes.class_ids,
        class_names=attributes.class_names,
        content_ids={
            split.attributes.split: split.content_id for split in (train, val) if split is not None
        },
        recipe=recipe,
        frozen_norm=task.freezes_norms(request),
        selects=request.gate and request.recipe.gate_selects,
    )


def _validation(store: Store, request: TrainingRequest) -> Split | None:
    if request.val_split is not None:
        return _cached(store[request.val_split], request)
    if "val" in store and request.train_split != "val":
        return _cached(store["val"], request)
    return None


def _cached(split: Split, request: TrainingRequest) -> Split:
    return checked_split(split, "a run", request.cache, request.cache_bytes)


def _hash(path: Path) -> str:
    """Hash the initial weights of a run, which are part of its identity."""
    try:
        return hash_file(path).sha256
    except CorruptStoreError as error:  # it is no file
        raise UsageError(error.message, "name another --init") from None
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name another --init"
        ) from None


def _check_folder(request: TrainingRequest) -> ModelConfig | None:
    """Read the config of the run to resume; refuse a folder of anything else."""
    folder = request.run
    store = as_path(request.store)
    if isinstance(store, Path) and folder.resolve().is_relative_to(store.resolve()):
        raise UsageError(f"{folder} lies in the store", "name a --run outside of it")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder", "name another --run")
    if not (folder / MODEL_FILE).exists():
        if taken := [name for name in RUN_FILES if (folder / name).exists()]:
            raise UsageError(f"{folder} has a {taken[0]} of something else", "name another --run")
        return None
    if not request.resume:
        raise UsageError(
            f"{folder} holds a run already", "go on with it with --resume, or name another --run"
        )
    return read_model_config(folder)


def _refuse_another(folder: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    for name in ours:
        was, now = theirs[name], ours[name]
        if name == "results" or was == now:
            continue
        if isinstance(now, dict):
            key = next(key for key in {**now, **was} if now.get(key) != was.get(key))
            name, was, now = f"{name}.{key}", was.get(key), now.get(key)
        raise RunError(
            f"the run in {folder} is another one: its {name} is {_short(was)}, now {_short(now)}",
            "resume with the options and the data it was started with, or name another --run",
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
