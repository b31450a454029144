"""A run's network on a split of any store: which classes are which, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.errors import UsageError, some
from freqprep.images.encoding import Encoding
from freqprep.progress import say
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from freqprep.training.checkpoint import load_model
from freqprep.training.distributed import World
from freqprep.training.evaluate_classifier import Evaluation, ImageAnswers, evaluate, share
from freqprep.training.evaluate_confusion import Confusion
from freqprep.training.model_config import ModelConfig

__all__ = ["RunEvaluation", "score"]

_TOP = 5
_CONFUSED = 10


@dataclass(frozen=True)
class RunEvaluation:
    """How a run's network did on a split.

    Attributes
    ----------
    config : ModelConfig
        Of the run.
    split : Split
        What it was shown.
    answers : ndarray of int64, shape (classes of the split,)
        The network's answer for each label; -1 where it has no such class.
    evaluation : Evaluation
    notes : tuple of str
        What a person should know about the comparison.
    """

    config: ModelConfig
    split: Split
    answers: np.ndarray
    evaluation: Evaluation
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; ``classes`` has one entry for each class of the split."""
        numbers, confusion = self.evaluation.to_dict(), self.confusion
        correct, images = numbers.pop("class_correct"), numbers.pop("class_images")
        attributes = self.split.attributes
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
                    "images": images[label],
                    "correct": correct[label],
                    "top1": share(correct[label], images[label]),
                }
                for label in range(len(self.answers))
            ],
            "most_confused": confusion.worst(_CONFUSED),
            "confusion": confusion.to_dict(),
            "notes": list(self.notes),
        }

    @property
    def per_image(self) -> ImageAnswers:
        """The network's first answers to each image."""
        assert self.evaluation.per_image is not None  # `score` asks for them
        return self.evaluation.per_image

    @property
    def confusion(self) -> Confusion:
        """Which classes are taken for which."""
        return Confusion(self.config, self.split, self.per_image, self.answers)


def score(
    run: Path, store: Path, split: str, world: World, *, batch_size: int, threads: int
) -> RunEvaluation:
    """Evaluate a run's network on a split, whose classes are matched by their ids.

    Parameters
    ----------
    run, store : Path
    split : str
    world : World
        The processes that share the work.
    batch_size : int
        Images shown at once.
    threads : int
        Threads that read and decode.

    Raises
    ------
    UsageError
        No such split, no images or labels in it, or none of its classes known to the network.
    RunError, StoreError
        The run or the store cannot be read.
    """
    opened = open_store(store)[split]
    _check_labels(opened)
    config, network = load_model(run, world.device)
    answers = match_classes(config, opened)
    notes = tuple(_notes(config, opened, answers))
    for note in notes if world.is_leader else ():
        say(f"note: {note}")
    found = evaluate(
        network,
        config.classifier_inputs,
        opened,
        answers,
        world,
        batch_size=batch_size,
        threads=threads,
        top=_TOP,
    )
    return RunEvaluation(config, opened, answers, found, notes)


def match_classes(config: ModelConfig, split: Split) -> np.ndarray:
    """The network's answer for each label of a split: the class of the same id.

    Returns
    -------
    ndarray of int64, shape (classes of the split,)
        -1 where the network has no such class.

    Raises
    ------
    UsageError
        It has none of them.
    """
    places = {name: index for index, name in enumerate(config.class_ids)}
    answers = np.array([places.get(name, -1) for name in split.attributes.class_ids], np.int64)
    if (answers < 0).all():
        raise UsageError(
            f"the network knows none of the classes of {split.path}: it has"
            f" {some(list(map(ascii, config.class_ids)))}, the split"
            f" {some(list(map(ascii, split.attributes.class_ids)))}",
            "evaluate on a store of the classes that it was trained on",
        )
    return answers


def check_images(split: Split) -> None:
    """Refuse a split without any image.

    Raises
    ------
    UsageError
    """
    if not split.valid.any():
        raise UsageError(f"{split.path} has no image: all were rejected", "see `freqprep info`")


def _check_labels(split: Split) -> None:
    check_images(split)
    if not split.attributes.class_ids or not (split.labels[split.valid] >= 0).any():
        raise UsageError(
            f"{split.path} has no labels to compare a network's answers with",
            "use a split of labelled images",
        )


def _notes(config: ModelConfig, split: Split, answers: np.ndarray) -> list[str]:
    notes = []
    labels, ids = split.labels[split.valid], split.attributes.class_ids
    if unknown := np.flatnonzero(answers < 0).tolist():
        names = some([ascii(ids[label]) for label in unknown])
        notes.append(
            f"the network does not know {len(unknown)} of the {len(ids)} classes ({names}):"
            f" their {int(np.isin(labels, unknown).sum())} images count as wrong"
        )
    if without := int((labels < 0).sum()):
        notes.append(f"{without} images without a label count as wrong")
    return notes + encoding_note(config, split)


def encoding_note(config: ModelConfig, split: Split) -> list[str]:
    """A remark when a network is shown images that are stored otherwise than its own were."""
    ours, theirs = config.encoding, split.attributes.encoding
    if ours == theirs:
        return []
    return [
        f"the network was trained on images stored as {_described(ours)}, these are"
        f" {_described(theirs)}"
    ]


def _described(encoding: Encoding) -> str:
    geometry = encoding.geometry
    resize = "" if geometry.resize is None else f" from {geometry.resize}"
    return (
        f"{geometry.kind} {geometry.size}{resize}, {encoding.precision},"
        f" orientation {geometry.orientation}"
    )
