"""Trainings that are refused, and runs that do not fit."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import synthetic
from situation import LAUNCHER, Situation

TRAIN = "freqprep train photos.zarr --model mobilenet_v2 --channels paper-6 --grid 16"


def other_classes(folder: Path) -> None:
    """A store of other classes than the network's."""
    for split in ("train", "val"):
        for path in sorted((folder / "photos" / split).iterdir()):
            path.rename(path.with_name(f"wild {path.name}"))
    synthetic.make(folder / "photos", folder / "wild.zarr")


def one_class(folder: Path) -> None:
    """A store of a single class."""
    for split in ("train", "val"):
        for path in sorted((folder / "photos" / split).iterdir())[1:]:
            shutil.rmtree(path)
    synthetic.make(folder / "photos", folder / "cats.zarr")


def cut_checkpoint(folder: Path) -> None:
    """Cut a checkpoint off."""
    path = folder / "runs/first/checkpoint.pt"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_config(folder: Path) -> None:
    """A folder without the config of its run."""
    (folder / "runs/first/model.json").unlink()


def only_train(folder: Path) -> None:
    """A store without val."""
    shutil.rmtree(folder / "photos.zarr/val")


@contextlib.contextmanager
def lost_rank(folder: Path) -> Iterator[str]:
    """The other one of two processes joins, and is killed; this one is the first of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_RANK": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], env={**os.environ, **both, "RANK": "1"}
    ) as other:
        try:
            with mock.patch.dict(os.environ, {**both, "RANK": "0"}):
                yield ""
        finally:
            other.kill()


OTHER = """\
import os, signal
from freqprep.training.distributed import init_distributed

with init_distributed("cpu"):
    os.kill(os.getpid(), signal.SIGKILL)"""

RANKS = """\
import freqprep

split = freqprep.open_store("photos.zarr")["train"]
freqprep.Loader(split, "square-24", batch_size=32, rank=0, world_size=3)"""

STATE = """\
import freqprep

split = freqprep.open_store("photos.zarr")["train"]
with freqprep.Loader(split, "square-24", batch_size=32, seed=1) as loader:
    state = loader.state_dict()
with freqprep.Loader(split, "square-24", batch_size=64, seed=1) as loader:
    loader.load_state_dict(state)"""

DROPPED = """\
import freqprep

split = freqprep.open_store("photos.zarr")["train"]
freqprep.Loader(split, "square-24", batch_size=50)"""

TRAINING = (
    Situation(
        "The folder has a run already",
        f"{TRAIN} --run runs/first",
        "A run is never replaced.",
        "`--resume` to go on with it, or another `--run`.",
    ),
    Situation(
        "The run is another one",
        f"{TRAIN} --read square-24 --epochs 90 --run runs/first --resume",
        "A run that is resumed ends in the weights that it would have had; with other options or "
        "data it cannot.",
        "the options that it was begun with (`model.json` has them), or another `--run`.",
        make=only_train,
    ),
    Situation(
        "There is nothing to tell apart",
        "freqprep train cats.zarr --model mobilenet_v2 --run runs/cats",
        "The whole source was taken for one class, or it has one.",
        "see what `freqprep info` says of the classes, and [how folders are "
        "understood](how-to/layouts.md#image-folders).",
        make=one_class,
        given="photos",
    ),
    Situation(
        "The data set is smaller than a batch",
        f"{TRAIN} --run runs/second",
        "The recipes are for large data sets; their batches are of 256 images.",
        "`--batch-size 32`: small data sets want small batches, since each epoch needs some steps.",
    ),
    Situation(
        "A detector without objects",
        "freqprep train photos.zarr --model fasterrcnn_resnet50_fpn --run runs/boxes",
        "Class folders have labels, but no boxes.",
        "`freqprep convert coco`, from data [in COCO's format](how-to/convert.md#convert-coco).",
    ),
    Situation(
        "Frozen stages would keep random weights",
        "freqprep train coco.zarr --model fasterrcnn_resnet50_fpn --trained-stages 3 --run "
        "runs/boxes",
        "What is not trained must come from somewhere.",
        "`--trained-stages 4`, or `--init` with the checkpoint of a run on the same channels. "
        "([Start a detector](how-to/detector.md#start-a-detector-from-pretrained-weights).)",
    ),
    Situation(
        "A folder is no run",
        "freqprep evaluate runs/first photos.zarr --split val",
        "A run is known by its `model.json`.",
        "name the folder that `train --run` made.",
        make=lose_config,
    ),
    Situation(
        "The checkpoint is damaged",
        "freqprep evaluate runs/first photos.zarr --split val",
        "It was cut off in copying, or changed since. A run that is killed leaves a whole one: "
        "the new is written aside.",
        "copy it again, or train again.",
        make=cut_checkpoint,
    ),
    Situation(
        "The network knows none of the classes",
        "freqprep evaluate runs/first wild.zarr --split val",
        "Classes are matched by their ids: for folders, the names of the folders.",
        "evaluate on a store whose classes are called as those of the training data.",
        make=other_classes,
        given="photos",
    ),
    Situation(
        "The processes cannot share a batch",
        RANKS,
        "Each gets its part of the same global batches.",
        "one of the numbers of processes that are listed, or another `batch_size` or `lanes`.",
    ),
    Situation(
        "Another process of a run was lost",
        f"{LAUNCHER}{TRAIN} --batch-size 32 --run runs/two",
        "Processes that train together wait for each other at each step; when one of them ends, by "
        "an error, a kill or a lost machine, so do the others.",
        "see what the lost one said (often memory ran out there), and start all again with "
        "`--resume`.",
        during=lost_rank,
    ),
    Situation(
        "A loader's state is of another loader",
        STATE,
        "The order of an epoch depends on data, channels, seed, batch size and grouping.",
        "make the loader as it was when the state was saved.",
    ),
    Situation(
        "Much of an epoch is left out",
        DROPPED,
        "Batches are whole: what is left over at the end of an epoch waits for another one.",
        "smaller batches; on a small data set each epoch leaves out other images, so this may do "
        "no harm.",
    ),
)
