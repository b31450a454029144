"""Which classes a network takes for which, and its answers image by image, as tables."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.errors import UsageError
from freqprep.report.confusion_matrix import draw_confusion
from freqprep.report.style import as_png, check_matplotlib
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.store.split import Split
from freqprep.training.csv_file import SUFFIX, Cell, write_csv
from freqprep.training.evaluate_classifier import ImageAnswers
from freqprep.training.model_config import ModelConfig

MOST_CELLS = 1_000_000
"""Of a matrix in JSON or as a picture: a thousand classes by a thousand."""

PICTURE = ".png"


def check_confusion(path: Path | None) -> None:
    """Refuse a name that is no form of a confusion matrix, or a form that cannot be made.

    Raises
    ------
    UsageError
    MissingPackageError
        A picture is asked for without matplotlib.
    """
    if path is None:
        return
    if path.suffix.lower() not in (SUFFIX, PICTURE):
        raise UsageError(
            f"{str(path)!r} is in no form of a confusion matrix", f"end it in {SUFFIX} or {PICTURE}"
        )
    if path.suffix.lower() == PICTURE:
        check_matplotlib()


class Confusion:
    """Labels and first answers of a split's labelled images.

    Parameters
    ----------
    config : ModelConfig
    split : Split
    answers : ImageAnswers
    known : ndarray of int64, shape (classes of the split,)
        The network's class for each class of the split; -1 where it has none.
    """

    def __init__(
        self, config: ModelConfig, split: Split, answers: ImageAnswers, known: np.ndarray
    ) -> None:
        self._config, self._split, self._known = config, split, known
        labels, predicted = split.labels[answers.rows], answers.classes[:, 0]
        counted = (labels >= 0) & (predicted >= 0)
        self._labels, self._predicted = labels[counted], predicted[counted]

    @property
    def cells(self) -> int:
        """Of the matrix."""
        return len(self._known) * len(self._config.class_ids)

    def rows(self) -> Iterator[np.ndarray]:
        """Of each class of the split, images by the class answered: int64 (classes,)."""
        order = np.argsort(self._labels, kind="stable")
        ends = np.searchsorted(self._labels[order], np.arange(len(self._known) + 1))
        for first, stop in itertools.pairwise(ends.tolist()):
            answered = self._predicted[order[first:stop]]
            yield np.bincount(answered, minlength=len(self._config.class_ids))

    def matrix(self) -> np.ndarray:
        """Images of each class of the split (rows) by the class answered (columns). int64."""
        return np.stack(list(self.rows()))

    def to_dict(self) -> dict[str, Any] | None:
        """As JSON data; None of more than a million cells."""
        if self.cells > MOST_CELLS:
            return None
        return {
            "label_ids": list(self._split.attributes.class_ids),
            "predicted_ids": list(self._config.class_ids),
            "images": self.matrix().tolist(),
        }

    def worst(self, count: int) -> list[dict[str, Any]]:
        """The pairs of classes that are confused most often, as JSON data.

        Of equally many images the first labels come first.
        """
        wrong = self._known[self._labels] != self._predicted
        classes = len(self._config.class_ids)
        pairs, images = np.unique(
            self._labels[wrong] * classes + self._predicted[wrong], return_counts=True
        )
        totals = np.bincount(self._labels, minlength=len(self._known))
        attributes, found = self._split.attributes, []
        for place in np.argsort(-images, kind="stable")[:count].tolist():
            label, answer = divmod(int(pairs[place]), classes)
            found.append(
                {
                    "id": attributes.class_ids[label],
                    "name": attributes.class_names[label],
                    "predicted_id": self._config.class_ids[answer],
                    "predicted_name": self._config.class_names[answer],
                    "images": int(images[place]),
                    "of": int(totals[label]),
                }
            )
        return found

    def write(self, path: Path) -> None:
        """Write the matrix, as a CSV file or a picture; a file that is there is replaced.

        Raises
        ------
        UsageError
            It has too many classes for a picture.
        """
        attributes = self._split.attributes
        if path.suffix.lower() == SUFFIX:
            heads = ["label_id", "label_name", *map(str, self._config.class_ids)]
            ids = zip(attributes.class_ids, attributes.class_names, strict=True)
            pairs = zip(ids, self.rows(), strict=True)
            write_csv(path, heads, ([*pair, *row.tolist()] for pair, row in pairs))
            return
        if self.cells > MOST_CELLS:
            raise UsageError(
                f"{len(self._known)} classes are too many for a picture", f"end {path} in {SUFFIX}"
            )
        names = attributes.class_names, self._config.class_names
        data = as_png(lambda palette: draw_confusion(self.matrix(), *names, palette))
        with full_disk_named(path.absolute().parent):
            write_parts(path, [data], path.absolute().parent)


def write_answers(
    path: Path, config: ModelConfig, split: Split, answers: ImageAnswers, known: np.ndarray
) -> None:
    """Write a CSV file of one row an image: its label, the network's answers, whether it is right.

    Parameters
    ----------
    path : Path
        A file that is there is replaced.
    config, split, answers, known
        As of `Confusion`.
    """
    heads = ["row", "key", "label_id", "label_name", *answer_heads(answers.classes.shape[1])]
    write_csv(path, [*heads, "correct"], _rows(config, split, answers, known))


def answer_heads(top: int) -> list[str]:
    """Names of the columns of so many answers."""
    heads = ["predicted_id", "predicted_name", "probability"]
    for place in range(2, top + 1):
        heads += [f"top{place}_id", f"top{place}_name", f"top{place}_probability"]
    return heads


def _rows(
    config: ModelConfig, split: Split, answers: ImageAnswers, known: np.ndarray
) -> Iterator[list[Cell]]:
    attributes = split.attributes
    arrays = (answers.rows, answers.classes, answers.probabilities)
    for row, classes, chances in zip(*(array.tolist() for array in arrays), strict=True):
        label = int(split.labels[row])
        cells: list[Cell] = [row, split.keys[row], None, None]
        if label >= 0:
            cells[2:] = [attributes.class_ids[label], attributes.class_names[label]]
        for index, chance in zip(classes, chances, strict=True):
            name = (
                (config.class_ids[index], config.class_names[index]) if index >= 0 else (None, None)
            )
            cells += [*name, chance if chance == chance else None]
        right = label >= 0 and known[label] >= 0 and known[label] == classes[0]
        yield [*cells, int(right)]
