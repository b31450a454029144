"""A run's detector on a split of any store: which classes are which, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freqprep.augment import DetectorInput
from freqprep.errors import UsageError, some
from freqprep.models.detection import Detector
from freqprep.progress import say
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from freqprep.training.checkpoint import load_model
from freqprep.training.coco_metrics import load_evaluator
from freqprep.training.csv_file import BOX_HEADS, write_csv
from freqprep.training.distributed import World
from freqprep.training.evaluate_detector import (
    DetectionEvaluation,
    check_finite,
    evaluate_detector,
)
from freqprep.training.evaluate_run import check_images, encoding_note, match_classes
from freqprep.training.model_config import ModelConfig

__all__ = ["DetectorRunEvaluation", "score_detector"]


@dataclass(frozen=True, eq=False)
class DetectorRunEvaluation:
    """How a run's detector did on a split.

    Attributes
    ----------
    config : ModelConfig
        Of the run.
    split : Split
        What it was shown.
    answers : ndarray of int64, shape (classes of the split,)
        The network's class for each class of the split; -1 where it has no such class.
    evaluation : DetectionEvaluation
    notes : tuple of str
        What a person should know about the comparison.
    """

    config: ModelConfig
    split: Split
    answers: np.ndarray
    evaluation: DetectionEvaluation
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; ``classes`` has one entry for each class of the split."""
        numbers = self.evaluation.to_dict()
        by_class = numbers.pop("class_ap")
        attributes, objects = self.split.attributes, self.split.objects
        shown = objects.within(self.split.valid) & ~objects.iscrowd
        counts = np.bincount(objects.label[shown], minlength=len(self.answers)).tolist()
        return {
            "split": attributes.split,
            "content_id": self.split.content_id,
            "rows": len(self.split),
            **numbers,
            "classes": [
                {
                    "id": attributes.class_ids[label],
                    "name": attributes.class_names[label],
                    "known": bool(self.answers[label] >= 0),
                    "objects": counts[label],
                    **{f"{what}_AP": values and values[label] for what, values in by_class.items()},
                }
                for label in range(len(self.answers))
            ],
            "notes": list(self.notes),
        }

    def write_csv(self, path: Path) -> None:
        """Write a CSV file of one row a detection, in source pixels; one there is replaced."""
        attributes = self.split.attributes
        rows = {number: row for row, number in enumerate(self.split.array("image_id").tolist())}
        names = dict(zip(attributes.class_ids, attributes.class_names, strict=True))
        heads = ["row", "key", "image_id", "class_id", "class_name", "score", *BOX_HEADS]
        write_csv(
            path,
            heads,
            (
                [
                    rows[one["image_id"]],
                    self.split.keys[rows[one["image_id"]]],
                    one["image_id"],
                    one["category_id"],
                    names[one["category_id"]],
                    one["score"],
                    *one["bbox"],
                ]
                for one in self.evaluation.results
            ),
        )


def score_detector(
    run: Path, store: Path, split: str, world: World, *, threads: int
) -> DetectorRunEvaluation:
    """Evaluate a run's detector on a split, whose classes are matched by their ids.

    Parameters
    ----------
    run, store : Path
    split : str
    world : World
        The processes that share the work.
    threads : int
        Threads that read and decode.

    Raises
    ------
    UsageError
        No such split, no images or annotated objects in it, or none of its classes known to the
        network.
    RunError, StoreError
        The run or the store cannot be read.
    MissingPackageError
        faster-coco-eval is not installed.
    """
    load_evaluator()  # before the work, not after it
    opened = open_store(store)[split]
    check_images(opened)
    _ = opened.objects  # says so where there are none
    config, network = load_model(run, world.device)
    if not isinstance(config.inputs, DetectorInput) or not isinstance(network, Detector):
        raise UsageError(f"{config.model} is a classifier", "name the run of a detector")
    check_finite(network)
    answers = match_classes(config, opened)
    notes = tuple(_notes(config, opened, answers))
    for note in notes if world.is_leader else ():
        say(f"note: {note}")
    torch.backends.cudnn.benchmark = False  # it would measure each new canvas
    found = evaluate_detector(
        network, config.inputs, opened, config.class_ids, world, threads=threads
    )
    return DetectorRunEvaluation(config, opened, answers, found, notes)


def _notes(config: ModelConfig, split: Split, answers: np.ndarray) -> list[str]:
    notes = []
    ids, objects = split.attributes.class_ids, split.objects
    if unknown := np.flatnonzero(answers < 0).tolist():
        names = some([ascii(ids[label]) for label in unknown])
        missed = int((np.isin(objects.label, unknown) & ~objects.iscrowd).sum())
        notes.append(
            f"the network does not know {len(unknown)} of the {len(ids)} classes ({names}): their"
            f" {missed} objects are never found"
        )
    return notes + encoding_note(config, split)
