"""What a user asks of a training run, and what follows from it before any work starts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqprep.augment import Inputs
from freqprep.augment.crops import aligned_crop
from freqprep.augment.feed import KINDS
from freqprep.errors import RunError, UsageError
from freqprep.models.networks import DEFAULT_GRID, MODELS, STEM_STRIDE, check_grid
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import Selection
from freqprep.store.reader import Store, open_store
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.split import Split
from freqprep.training.card import CARD, Card, read_card
from freqprep.training.checkpoint import CHECKPOINT
from freqprep.training.curves import CURVES
from freqprep.training.metrics import METRICS
from freqprep.training.recipe import Recipe
from freqprep.training.scoring import check_images, match_classes

DEFAULT_CHANNELS = "square-24"
DEFAULT_READ = "paper-64"
"""Read besides the used channels: resizing moves energy between frequencies."""

_MANY = 0.5
_LEAST_IMAGES = 2
SCORES, SELECTION = "gate-scores.json", "gate-selection.json"
"""Names of the files that a run with a gate ends with."""

RUN_FILES = (CARD, CHECKPOINT, METRICS, CURVES, SCORES, SELECTION)
"""Names of all files that a run writes into its folder."""


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
    lanes : int or None
        See `freqprep.Loader`: a multiple of every number of processes to be used.
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
    lanes: int | None = None
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


def plan(request: TrainingRequest, processes: int = 1) -> Plan:
    """Check a request against the store and the run's folder.

    Parameters
    ----------
    request : TrainingRequest
    processes : int
        That share the work.

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
        _check_labels(split)
    inputs = _inputs(request, train)
    _check_batches(request.recipe, inputs, train, processes)
    attributes = train.attributes
    card = Card(
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
        recipe={
            **request.recipe.to_dict(),
            "seed": request.seed,
            "lanes": request.lanes,
            "init": None if request.init is None else _hash(request.init),
        },
    )
    resumes = _resumes(request, card)
    notes = [note for note in (_detail(card.inputs, train),) if note]
    if val is not None and (unknown := int((match_classes(card, val) < 0).sum())):
        notes.append(
            f"{unknown} classes of {val.path} are not in {train.path}: they count as wrong"
        )
    if val is None:
        notes.append(f"no validation: {request.store} has no other split named val")
    if request.resume and not resumes:
        notes.append(f"nothing to resume in {request.run}: starting")
    return Plan(card, train, val, resumes, tuple(notes))


def _check_labels(split: Split) -> None:
    """Refuse a split that has nothing to learn from, or images without a label."""
    check_images(split)
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
    if request.input not in KINDS:
        raise UsageError(f"input {request.input!r} does not exist", f"use {' or '.join(KINDS)}")
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


def _check_batches(recipe: Recipe, inputs: Inputs, train: Split, processes: int) -> None:
    """Refuse what would only fail at some step: parts of one image, crops that do not fit."""
    smallest = recipe.batch_size // processes // recipe.accumulate
    if smallest < _LEAST_IMAGES:
        raise UsageError(
            f"a batch of {recipe.batch_size} over {processes} processes in {recipe.accumulate}"
            f" parts leaves {smallest} images for a step, and batch norm needs {_LEAST_IMAGES}",
            "use a larger --batch-size, or fewer parts",
        )
    if recipe.policy.aligned:
        sizes = train.sizes[train.valid]
        aligned_crop(sizes, inputs.side, np.zeros((len(sizes), 2)))


def _hash(path: Path) -> str:
    """SHA-256 of the weights that a run begins with: part of what it is."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name another --init"
        ) from None


def _resumes(request: TrainingRequest, card: Card) -> bool:
    """Whether there is a checkpoint to go on from; refuses a folder that is something else's."""
    folder = request.run
    if folder.resolve().is_relative_to(request.store.resolve()):
        raise UsageError(f"{folder} lies in the store", "name a --run outside of it")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "name another --run")
    if not (folder / CARD).exists():
        if taken := [name for name in RUN_FILES if (folder / name).exists()]:
            raise UsageError(f"{folder} has a {taken[0]} of something else", "name another --run")
        return False
    if not request.resume:
        raise UsageError(
            f"{folder} holds a run already", "go on with it with --resume, or name another --run"
        )
    _refuse_another(folder, read_card(folder).to_dict(), json.loads(json.dumps(card.to_dict())))
    return (folder / CHECKPOINT).exists()


def _refuse_another(folder: Path, theirs: dict, ours: dict) -> None:
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
