"""Evaluate a run's network on a split of any store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.augment import DetectorInput
from freqprep.errors import UsageError
from freqprep.models.detection import Detector
from freqprep.progress import say
from freqprep.storage.paths import AnyPath, local_path
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from freqprep.streaming.misuse import checked_split
from freqprep.text.quantities import plural
from freqprep.training.channels import check_stored
from freqprep.training.checkpoint import load_model, unfinished_note
from freqprep.training.class_matching import (
    check_images,
    encoding_note,
    match_classes,
    renamed_note,
    unknown_note,
)
from freqprep.training.coco_metrics import load_evaluator
from freqprep.training.csv_file import BOX_HEADS, write_csv
from freqprep.training.distributed import World
from freqprep.training.evaluate_classifier import (
    Evaluation,
    ImagePredictions,
    evaluate_classifier,
    share,
)
from freqprep.training.evaluate_confusion import Confusion, write_predictions
from freqprep.training.evaluate_detector import (
    DetectionEvaluation,
    check_finite,
    evaluate_detector,
)
from freqprep.training.model_config import ModelConfig, read_model_config
from freqprep.training.tasks import TASKS

__all__ = ["RunEvaluation", "evaluate_run"]

_TOP = 5
_CONFUSED = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class RunEvaluation(ABC):
    """Results of a run's network on a split.

    Attributes
    ----------
    config : ModelConfig
        Of the run.
    split : Split
        Evaluated on.
    class_map : ndarray of int64, shape (classes of the split,)
        The network's class for each class of the split; -1 where it has none.
    notes : tuple of str
        Remarks on how the split differs from the network's own data.
    """

    config: ModelConfig
    split: Split
    class_map: np.ndarray
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data; ``classes`` has one entry for each class of the split."""
        figures, by_class = self._figures()
        attributes = self.split.attributes
        known = (self.class_map >= 0).tolist()
        classes = zip(attributes.class_ids, attributes.class_names, known, by_class, strict=True)
        return {
            "split": attributes.split,
            "content_id": self.split.content_id,
            "rows": len(self.split),
            **figures,
            "classes": [
                {"id": id_, "name": name, "known": one, **values}
                for id_, name, one, values in classes
            ],
            **self._confusion(),
            "notes": list(self.notes),
        }

    @abstractmethod
    def write_csv(self, path: Path) -> None:
        """Write a table of what was found; an existing file is replaced."""

    @abstractmethod
    def _figures(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Results over all images, and of each class of the split."""

    def _confusion(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassifierRunEvaluation(RunEvaluation):
    """Results of a run's classifier on a split; see `RunEvaluation`.

    Attributes
    ----------
    evaluation : Evaluation
    """

    evaluation: Evaluation

    @property
    def per_image(self) -> ImagePredictions:
        """The most probable classes of each image."""
        assert self.evaluation.per_image is not None  # `evaluate_run` asks for them
        return self.evaluation.per_image

    @property
    def confusion(self) -> Confusion:
        """Counts of which class is taken for which."""
        return Confusion(self.config, self.split, self.per_image, self.class_map)

    def write_csv(self, path: Path) -> None:
        """Write one row an image: its label and the most probable classes."""
        write_predictions(path, self.config, self.split, self.per_image, self.class_map)

    def _figures(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        figures = self.evaluation.to_dict()
        counts = zip(figures.pop("class_images"), figures.pop("class_correct"), strict=True)
        return figures, [
            {"images": images, "correct": correct, "top1": share(correct, images)}
            for images, correct in counts
        ]

    def _confusion(self) -> dict[str, Any]:
        confusion = self.confusion
        return {"most_confused": confusion.worst(_CONFUSED), "confusion": confusion.to_dict()}


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectorRunEvaluation(RunEvaluation):
    """Results of a run's detector on a split; see `RunEvaluation`.

    Attributes
    ----------
    evaluation : DetectionEvaluation
    """

    evaluation: DetectionEvaluation

    def write_csv(self, path: Path) -> None:
        """Write one row a detection, in source pixels."""
        attributes, keys = self.split.attributes, self.split.keys
        rows = {number: row for row, number in enumerate(self.split.array("image_id").tolist())}
        names = dict(zip(attributes.class_ids, attributes.class_names, strict=True))
        heads = ["row", "key", "image_id", "class_id", "class_name", "score", *BOX_HEADS]
        results = ((rows[one["image_id"]], one) for one in self.evaluation.results)
        write_csv(
            path,
            heads,
            (
                [
                    row,
                    keys[row],
                    one["image_id"],
                    one["category_id"],
                    names[one["category_id"]],
                    one["score"],
                    *one["bbox"],
                ]
                for row, one in results
            ),
        )

    def _figures(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        figures = self.evaluation.to_dict()
        precision, objects = figures.pop("class_ap"), self.split.objects
        shown = objects.within(self.split.valid) & ~objects.iscrowd
        counts = np.bincount(objects.label[shown], minlength=len(self.class_map)).tolist()
        return figures, [
            {
                "objects": count,
                **{f"{what}_AP": values and values[label] for what, values in precision.items()},
            }
            for label, count in enumerate(counts[: len(self.class_map)])
        ]


def evaluate_run(
    run: str | Path,
    store: str | AnyPath,
    split: str,
    world: World,
    *,
    batch_size: int,
    threads: int | None,
    cache: str | Path | None = None,
    cache_bytes: int | None = None,
) -> RunEvaluation:
    """Evaluate a run's network on a split, whose classes are matched by their ids.

    Parameters
    ----------
    run : str or Path
    store : str, Path or ObjectPath
    split : str
    world : World
        The processes that share the work.
    batch_size : int
        Number of images shown at once; a detector is shown one.
    threads : int or None
        Threads that read and decode; None as in `Loader`.
    cache, cache_bytes : optional
        As in `Loader`.

    Returns
    -------
    RunEvaluation
        The same in every process.

    Raises
    ------
    UsageError
        No such split, no images, labels or annotated objects in it, none of its classes known to
        the network, or a channel that the network reads is not stored.
    RunError, StoreError
        The run or the store cannot be read.
    MissingPackageError
        faster-coco-eval, which evaluates detectors, is not installed.
    """
    run = local_path(run)
    model = read_model_config(run).model
    evaluate = {"classifier": _evaluate_classifier, "detector": _evaluate_detector}
    shown = checked_split(open_store(store)[split], "an evaluation", cache, cache_bytes)
    return evaluate[TASKS[model].kind](run, shown, world, batch_size, threads)


def _evaluate_classifier(
    run: Path, split: Split, world: World, batch_size: int, threads: int | None
) -> ClassifierRunEvaluation:
    _check_labels(split)
    config, network = load_model(run, world.device)
    check_stored(config.inputs, split)
    class_map = match_classes(config, split)
    labels = split.labels[split.valid]
    notes = unfinished_note(run, config) + renamed_note(config, split)
    notes += unknown_note(split, class_map, labels, "images count as wrong")
    if without := int((labels < 0).sum()):
        notes.append(f"without a label, counted as wrong: {plural(without, 'image')}")
    return ClassifierRunEvaluation(
        config=config,
        split=split,
        class_map=class_map,
        notes=_told(notes + encoding_note(config, split), world),
        evaluation=evaluate_classifier(
            network,
            config.classifier_inputs,
            split,
            class_map,
            world,
            batch_size=batch_size,
            threads=threads,
            top=_TOP,
        ),
    )


def _evaluate_detector(
    run: Path, split: Split, world: World, _batch_size: int, threads: int | None
) -> DetectorRunEvaluation:
    load_evaluator()  # before the work, not after it
    check_images(split)
    objects = split.objects  # raises where there are none
    config, network = load_model(run, world.device)
    assert isinstance(config.inputs, DetectorInput) and isinstance(network, Detector)
    check_finite(network)
    check_stored(config.inputs, split)
    class_map = match_classes(config, split)
    notes = unfinished_note(run, config) + renamed_note(config, split)
    notes += unknown_note(
        split, class_map, objects.label[~objects.iscrowd], "objects are never found"
    )
    return DetectorRunEvaluation(
        config=config,
        split=split,
        class_map=class_map,
        notes=_told(notes + encoding_note(config, split), world),
        evaluation=evaluate_detector(
            network, config.inputs, split, config.class_ids, world, threads=threads
        ),
    )


def _told(notes: list[str], world: World) -> tuple[str, ...]:
    for note in notes if world.is_leader else ():
        say(f"note: {note}")
    return tuple(notes)


def _check_labels(split: Split) -> None:
    check_images(split)
    if not split.attributes.class_ids or not (split.labels[split.valid] >= 0).any():
        raise UsageError(
            f"{split.path} has no labels to evaluate a network by",
            "use a split of labelled images",
        )
