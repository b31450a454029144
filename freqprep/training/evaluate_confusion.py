"""Confusion matrices, and predictions image by image, as tables and pictures."""

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
from freqprep.text.quantities import plural
from freqprep.training.csv_file import SUFFIX, Cell, write_csv
from freqprep.training.evaluate_classifier import ImagePredictions
from freqprep.training.model_config import ModelConfig

MOST_CELLS = 1_000_000
"""Largest matrix in JSON or as a picture: a thousand classes by a thousand."""

PICTURE = ".png"


def check_confusion(path: Path | None) -> None:
    """Refuse the name of a file in which a confusion matrix cannot be written.

    Raises
    ------
    UsageError
    MissingPackageError
        A picture without matplotlib.
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
    """Confusion matrix of a split's labelled images.

    Parameters
    ----------
    config : ModelConfig
    split : Split
    predictions : ImagePredictions
    class_map : ndarray of int64, shape (classes of the split,)
        The network's class for each class of the split; -1 where it has none.
    """

    def __init__(
        self,
        config: ModelConfig,
        split: Split,
        predictions: ImagePredictions,
        class_map: np.ndarray,
    ) -> None:
        self._config, self._split, self._class_map = config, split, class_map
        labels, predicted = split.labels[predictions.rows], predictions.classes[:, 0]
        counted = (labels >= 0) & (predicted >= 0)
        self._labels, self._predicted = labels[counted], predicted[counted]

    @property
    def cells(self) -> int:
        """Number of cells of the matrix."""
        return len(self._class_map) * len(self._config.class_ids)

    def rows(self) -> Iterator[np.ndarray]:
        """Iterate over the matrix's rows: int64 (classes of the network,)."""
        order = np.argsort(self._labels, kind="stable")
        ends = np.searchsorted(self._labels[order], np.arange(len(self._class_map) + 1))
        for first, stop in itertools.pairwise(ends.tolist()):
            predicted = self._predicted[order[first:stop]]
            yield np.bincount(predicted, minlength=len(self._config.class_ids))

    def matrix(self) -> np.ndarray:
        """Count images by class of the split (rows) and predicted class (columns): int64."""
        return np.stack(list(self.rows()))

    def to_dict(self) -> dict[str, Any] | None:
        """Return JSON data; None if there are more than a million cells."""
        if self.cells > MOST_CELLS:
            return None
        return {
            "label_ids": list(self._split.attributes.class_ids),
            "predicted_ids": list(self._config.class_ids),
            "images": self.matrix().tolist(),
        }

    def worst(self, count: int) -> list[dict[str, Any]]:
        """Return the pairs of classes that are confused most often, as JSON data.

        Pairs with equally many images are in order of their labels.
        """
        wrong = self._class_map[self._labels] != self._predicted
        classes = len(self._config.class_ids)
        pairs, images = np.unique(
            self._labels[wrong] * classes + self._predicted[wrong], return_counts=True
        )
        totals = np.bincount(self._labels, minlength=len(self._class_map))
        attributes, found = self._split.attributes, []
        for index in np.argsort(-images, kind="stable")[:count].tolist():
            label, predicted = divmod(int(pairs[index]), classes)
            found.append(
                {
                    "id": attributes.class_ids[label],
                    "name": attributes.class_names[label],
                    "predicted_id": self._config.class_ids[predicted],
                    "predicted_name": self._config.class_names[predicted],
                    "images": int(images[index]),
                    "of": int(totals[label]),
                }
            )
        return found

    def write(self, path: Path) -> None:
        """Write the matrix as a CSV file or a picture; an existing file is replaced.

        Raises
        ------
        UsageError
            There are too many classes for a picture.
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
                f"{plural(len(self._class_map), 'class')} are too many for a picture",
                f"end {path} in {SUFFIX}",
            )
        names = attributes.class_names, self._config.class_names
        data = as_png(lambda palette: draw_confusion(self.matrix(), *names, palette))
        with full_disk_named(path.absolute().parent):
            write_parts(path, [data], path.absolute().parent)


def write_predictions(
    path: Path,
    config: ModelConfig,
    split: Split,
    predictions: ImagePredictions,
    class_map: np.ndarray,
) -> None:
    """Write a CSV file of one row an image: label, predictions, and whether the first is right.

    Parameters
    ----------
    path : Path
        An existing file is replaced.
    config : ModelConfig
    split : Split
    predictions : ImagePredictions
    class_map : ndarray of int64, shape (classes of the split,)
    """
    heads = [
        "row",
        "key",
        "label_id",
        "label_name",
        *prediction_heads(predictions.classes.shape[1]),
    ]
    write_csv(path, [*heads, "correct"], _rows(config, split, predictions, class_map))


def prediction_heads(top: int) -> list[str]:
    """Return the names of the columns of the ``top`` most probable classes."""
    heads = ["predicted_id", "predicted_name", "probability"]
    for rank in range(2, top + 1):
        heads += [f"top{rank}_id", f"top{rank}_name", f"top{rank}_probability"]
    return heads


def _rows(
    config: ModelConfig, split: Split, predictions: ImagePredictions, class_map: np.ndarray
) -> Iterator[list[Cell]]:
    attributes = split.attributes
    arrays = (predictions.rows, predictions.classes, predictions.probabilities)
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
        right = label >= 0 and class_map[label] >= 0 and class_map[label] == classes[0]
        yield [*cells, int(right)]
