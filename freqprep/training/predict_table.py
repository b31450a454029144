"""Predictions for image files as rows of a table."""

from __future__ import annotations

from typing import Any

from freqprep.training.csv_file import BOX_HEADS, Cell
from freqprep.training.evaluate_confusion import prediction_heads


def table_heads(kind: str, top: int) -> list[str]:
    """Return the names of the columns.

    Parameters
    ----------
    kind : {"classifier", "detector"}
    top : int
        Number of classes that a classifier gives for each file.

    Returns
    -------
    list of str
    """
    if kind == "detector":
        return ["path", "image_id", "class_id", "class_name", "score", *BOX_HEADS, "error"]
    return ["path", *prediction_heads(top), "error"]


def prediction_rows(document: dict[str, Any], heads: list[str]) -> list[list[Cell]]:
    """Return the rows of one file: one of a classifier, one an object found of a detector.

    A file that cannot be used has one row with its ``error``, a file in which nothing is found one
    row without a class: every file is in the table.

    Parameters
    ----------
    document : dict
        JSON data of a `Prediction`, of `FoundObjects` or of a `Failure`.
    heads : list of str
        From `table_heads`.

    Returns
    -------
    list of list
        One cell for each of ``heads``.
    """
    empty: list[Cell] = [None] * len(heads)
    empty[0] = document["path"]
    if "reason" in document:
        return [[*empty[:-1], f"{document['reason']}: {document['detail']}"]]
    if "predictions" in document:
        keys = ("class_id", "class_name", "probability")
        return [[empty[0], *(one[key] for one in document["predictions"] for key in keys), None]]
    start = [document["path"], document["image_id"]]
    keys = ("class_id", "class_name", "score")
    rows: list[list[Cell]] = [
        [*start, *(one[key] for key in keys), *one["bbox"], None] for one in document["detections"]
    ]
    return rows or [[*start, *empty[2:]]]
