"""Request for a training run, and the plan that it becomes once it has been checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freqprep.arguments import check_fields
from freqprep.storage.paths import AnyPath, as_path, local_path, take_paths
from freqprep.store.layout import MODEL_FILE
from freqprep.store.selections import ChannelsLike
from freqprep.store.split import Split
from freqprep.training.checkpoint import CHECKPOINT
from freqprep.training.curves import CURVES
from freqprep.training.gate_map import GATE_MAP
from freqprep.training.metrics import METRICS
from freqprep.training.model_config import ModelConfig
from freqprep.training.recipe import Recipe

__all__ = ["TrainingRequest"]

SCORES, SELECTION = "gate-scores.json", "gate-selection.json"
"""Names of the files that a run with a gate ends with."""

RUN_FILES = (MODEL_FILE, CHECKPOINT, METRICS, CURVES, SCORES, SELECTION, GATE_MAP)
"""Names of all files that a run writes into its folder."""


@dataclass(frozen=True)
class TrainingRequest:
    """Request to train a network on a store.

    Attributes
    ----------
    store : str, Path or ObjectPath
        The store; a URL is given as a str.
    run : Path
        The folder of the run.
    model : str
        One of `freqprep.models.networks.MODELS` or `freqprep.models.detection.DETECTORS`.
    recipe : Recipe
    channels : str, int, sequence, Selection or None
        Channels the network is fed. None: the published 24; with a gate all that are stored.
    read : str, int, sequence, Selection or None
        Channels read from the store; those not read count as zero. None: the used channels and
        the published 64; for RGB and for detectors all.
    input : {"frequency", "rgb"}
        ``rgb`` trains the model's ordinary form on pixels rebuilt from the store.
    grid : int or None
        Side of the input to the first block; of a detector, the short side. None is the model's
        own (56 or 112; 200).
        With a ramp (`Recipe.grid_ramp`) that of validation and of all use: at least the ramp's
        last.
    strides : {"canonical", "authors"}
    gate : bool
        Train a gate before the network. With ``recipe.gate_channels`` or ``recipe.gate_budget`` it
        ends with a selection for all images, otherwise it decides for each image.
    patches : int
        With RGB, a learned 8x8 convolution to this number of channels in place of the stem: the
        control experiment that tells the transform from the resolution. 0 for none.
    frozen_norm : bool or None
        Whether the norms of a detector's backbone keep the statistics they begin with. None: if
        it begins with weights.
    trained_stages : int
        How many of a detector's backbone's four stages are trained, from the last on.
    regions : int
        Regions of an image that a detector's heads learn from.
    init : Path or None
        Weights to begin with.
    seed : int
    train_split : str
    val_split : str or None
        None takes ``val`` where the store has it.
    device : str or None
    threads : int or None
        Threads that read and decode; None: as many as the channels need and the cores allow.
    compile : bool
        Compile the network.
    lanes : int or None
        See `freqprep.Loader`: a multiple of every number of processes to be used.
    resume : bool
        Go on with the run in the folder.
    preset : str or None
        Name of the preset that the recipe came from, to be said; the recipe alone counts.
    early_read : str, int, sequence, Selection or None
        With a ramp, channels read in the epochs before its last grid: those used, and some of
        those read later. None: the same in all epochs.
    cache : Path or None
    cache_bytes : int or None
        Local folder that keeps what is read of the store, and its limit; see `freqprep.Loader`.
    """

    store: str | AnyPath
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
    frozen_norm: bool | None = None
    trained_stages: int = 4
    regions: int = 512
    init: Path | None = None
    seed: int = 0
    train_split: str = "train"
    val_split: str | None = None
    device: str | None = None
    threads: int | None = None
    compile: bool = False
    lanes: int | None = None
    resume: bool = False
    preset: str | None = None
    early_read: ChannelsLike = None
    cache: Path | None = None
    cache_bytes: int | None = None

    def __post_init__(self) -> None:
        take_paths(self, as_path, "store")
        take_paths(self, local_path, "run", "init", "cache")
        check_fields(self)


@dataclass(frozen=True)
class RunPlan:
    """A request that has been checked.

    Attributes
    ----------
    config : ModelConfig
        Without results.
    train : Split
    val : Split or None
    resumes : bool
        Whether there is a checkpoint to go on from.
    notes : tuple of str
        What a person should know.
    """

    config: ModelConfig
    train: Split
    val: Split | None
    resumes: bool
    notes: tuple[str, ...]
