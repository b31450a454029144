"""What a user asks of a training run, and what follows from it before any work starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqprep.augment import Inputs
from freqprep.errors import RunError, UsageError
from freqprep.models.networks import DEFAULT_GRID, MODELS, STEM_STRIDE, check_grid
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import Selection
from freqprep.store.reader import Store, open_store
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.training.card import CARD, Card, read_card
from freqprep.training.checkpoint import CHECKPOINT
from freqprep.training.recipe import Recipe

INPUTS = ("frequency", "rgb")
DEFAULT_CHANNELS = "square-24"
DEFAULT_READ = "paper-64"
"""Read besides the used channels: resizing moves energy between frequencies."""

_MANY = 0.5


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, on what, and where to keep it.

    Attributes
    ----------
    store, run : Path
        The store, and the folder of the run.
    model : str
        ``resnet50`` or ``mobilenet_v2``.
    recipe : Recipe
    channels : str, int, sequence, Selection or None
        Channels the network is fed. None: the published 24; all 192 with a gate.
    read : str, int, sequence, Selection or None
        Channels read from the store; those not read count as zero. None: the used channels and
        the published 64; for RGB all.
    input : {"frequency", "rgb"}
        ``rgb`` trains the model's ordinary form on pixels rebuilt from the store.
    grid : int or None
        Side of the input to the first block; None is the model's own (56 or 112).
    strides : {"canonical", "authors"}
    gate : bool
        Train a gate before the network.
    patches : int
        With RGB, a learned 8x8 convolution to so many channels in the stem's place: the control
        experiment that tells the transform from the resolution. 0 for none.
    init : Path or None
        Weights to begin with.
    seed : int
    train_split : str
    val_split : str or None
        None takes ``val`` where the store has it.
    device : str or None
    threads : int
        Threads that read and decode.
    compile : bool
        Compile the network.
    resume : bool
        Go on with the run in the folder.
    """

    store: Path
    run: Path
    model: str
    recipe: Recipe
    channels: ChannelsLike = None
    read: ChannelsLike = None
    input: str = "frequency"
    grid: int | None = None
    strides: str = "canonical"
    gate: bool = False
    patches: int = 0
    init: Path | None = None
    seed: int = 0
    train_split: str = "train"
    val_split: str | None = None
    device: str | None = None
    threads: int = 2
    compile: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Plan:
    """A request that has been checked.

    Attributes
    ----------
    card : Card
        Without results.
    train : Split
    val : Split or None
    resumes : bool
        Whether there is a checkpoint to go on from.
    notes : tuple of str
        What a person should know.
    """

    card: Card
    train: Split
    val: Split | None
    resumes: bool
    notes: tuple[str, ...]


def plan(request: TrainingRequest) -> Plan:
    """Check a request against the store and the run's folder.

    Raises
    ------
    UsageError
        Something asked for cannot be done; the text says what and what could.
    RunError
        The run in the folder was another one.
    """
    if request.model not in MODELS:
        raise UsageError(f"model {request.model!r} does not exist", f"use {' or '.join(MODELS)}")
    if request.threads < 1:
        raise UsageError(f"{request.threads} reading threads", "use at least one")
    store = open_store(request.store)
    train = store[request.train_split]
    val = _validation(store, request)
    for split in filter(None, (train, val)):
        check_labels(split)
    attributes = train.attributes
    card = Card(
        model=request.model,
        strides=request.strides,
        gate=request.gate,
        patches=request.patches,
        inputs=_inputs(request, train),
        encoding=attributes.encoding,
        class_ids=attributes.class_ids,
        class_names=attributes.class_names,
        content_ids={
            split.attributes.split: split.content_id for split in (train, val) if split is not None
        },
        recipe={**request.recipe.to_dict(), "seed": request.seed},
    )
    resumes = _resumes(request, card)
    notes = [note for note in (_detail(card.inputs, train),) if note]
    if val is None:
        notes.append(f"no validation: {request.store} has no split val")
    if request.resume and not resumes:
        notes.append(f"nothing to resume in {request.run}: starting")
    return Plan(card, train, val, resumes, tuple(notes))


def check_labels(split: Split) -> None:
    """Refuse a split that has nothing to learn from, or images without a label.

    Raises
    ------
    UsageError
    """
    if not split.valid.any():
        raise UsageError(f"{split.path} has no image: all were rejected", "see `freqprep info`")
    without = int((split.labels[split.valid] < 0).sum())
    if without:
        what = "no labels" if without == split.valid.sum() else f"{without} images without a label"
        raise UsageError(
            f"{split.path} has {what}", "a classifier needs a class for each image: convert a"
            " folder with one folder a class"
        )  # fmt: skip


def _validation(store: Store, request: TrainingRequest) -> Split | None:
    if request.val_split is not None:
        return store[request.val_split]
    if "val" in store and request.train_split != "val":
        return store["val"]
    return None


def _inputs(request: TrainingRequest, train: Split) -> Inputs:
    grid = DEFAULT_GRID[request.model] if request.grid is None else request.grid
    check_grid(request.model, grid)
    if request.input not in INPUTS:
        raise UsageError(f"input {request.input!r} does not exist", f"use {' or '.join(INPUTS)}")
    if request.input == "rgb":
        if request.channels is not None or request.gate:
            raise UsageError(
                "RGB input has no channels to choose or to gate",
                "leave channels and gate out; what is read from the store can be chosen (--read)",
            )
        side = grid * (BLOCK if request.patches else STEM_STRIDE[request.model])
        inputs = Inputs.rgb(train, select(request.read, train), side)
    else:
        if request.patches:
            raise UsageError("patches with frequency input", "they are a form of RGB input")
        chosen = ("all" if request.gate else DEFAULT_CHANNELS) if request.channels is None else (
            request.channels
        )  # fmt: skip
        used = select(chosen, train)
        read = _with_neighbours(used) if request.read is None else select(request.read, train)
        inputs = Inputs.frequency(train, used, read, grid)
    return inputs


def _with_neighbours(used: Selection) -> Selection:
    indices = sorted({*used.indices, *select(DEFAULT_READ).indices})
    return Selection(tuple(indices), f"{used.name} and {DEFAULT_READ}")


def _detail(inputs: Inputs, train: Split) -> str:
    """A remark when the network asks for more detail than is stored."""
    short = train.sizes[train.valid].min(axis=1)
    enlarged = float(np.mean(short < inputs.side))
    if enlarged <= _MANY:
        return ""
    return (
        f"{enlarged:.0%} of the images are enlarged for a crop of {inputs.side} pixels: their"
        f" short side is stored with {int(np.median(short))} in the median (a larger --size when"
        " converting, or a smaller --grid, if the files have more)"
    )


def _resumes(request: TrainingRequest, card: Card) -> bool:
    """Whether there is a checkpoint to go on from; refuses a run that is another one."""
    folder = request.run
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "name another --run")
    if not (folder / CARD).exists():
        return False
    if not request.resume:
        raise UsageError(
            f"{folder} holds a run already", "go on with it with --resume, or name another --run"
        )
    _refuse_another(folder, read_card(folder).to_dict(), json.loads(json.dumps(card.to_dict())))
    return (folder / CHECKPOINT).exists()


def _refuse_another(folder: Path, theirs: dict, ours: dict) -> None:
    for name in ours:
        if name == "results" or ours[name] == theirs[name]:
            continue
        if isinstance(ours[name], dict):
            keys = [k for k in ours[name] if ours[name][k] != theirs[name].get(k)]
            name, theirs, ours = f"{name}.{keys[0]}", theirs[name], ours[name]
            was, now = theirs.get(keys[0]), ours[keys[0]]
        else:
            was, now = theirs[name], ours[name]
        raise RunError(
            f"the run in {folder} is another one: its {name} is {_short(was)}, now {_short(now)}",
            "resume with the options and the data it was started with, or name another --run",
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
