"""Predictions of a run's classifier for image files, prepared as its training images were.

A file becomes the codes that conversion would store, those codes the input that evaluation would
make of them: nothing else is between a file and its answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from freqprep.arguments import check_integer
from freqprep.augment import Preprocess
from freqprep.errors import ImageDefect, RunError
from freqprep.training.evaluate_classifier import compute_logits
from freqprep.training.model_config import ModelConfig
from freqprep.training.predict_files import Failure, FileEncoder, ImageCodes, bytes_of

__all__ = ["Prediction", "predict_classes"]


@dataclass(frozen=True)
class Prediction:
    """Most probable classes of one file.

    Attributes
    ----------
    path : bytes
    classes : ndarray of int64, shape (top,)
        Indices into the config's classes, the most probable first.
    probabilities : ndarray of float64, shape (top,)
    """

    path: bytes
    classes: np.ndarray
    probabilities: np.ndarray

    def to_dict(self, config: ModelConfig) -> dict[str, Any]:
        """Return JSON data."""
        return {
            "path": os.fsdecode(self.path),
            "predictions": [
                {
                    "class_id": config.class_ids[index],
                    "class_name": config.class_names[index],
                    "probability": probability,
                }
                for index, probability in zip(
                    self.classes.tolist(), self.probabilities.tolist(), strict=True
                )
            ],
        }


def predict_classes(
    config: ModelConfig,
    network: torch.nn.Module,
    device: torch.device,
    paths: Sequence[bytes],
    *,
    top: int = 5,
    batch_size: int = 32,
) -> Iterator[Prediction | Failure]:
    """Predict the most probable classes of some files, in the order given.

    Parameters
    ----------
    config : ModelConfig
    network : torch.nn.Module
        In evaluation mode on ``device``.
    device : torch.device
    paths : sequence of bytes
    top : int
        Classes to give for each file; all where there are fewer.
    batch_size : int
        Images shown at once.

    Yields
    ------
    Prediction or Failure
        A file that cannot be used stops none of the others.

    Raises
    ------
    UsageError
        A number that is not whole, from 1.
    RunError
        The network's answer is not finite.
    """
    check_integer("top", top)
    check_integer("batch_size", batch_size)
    reader = FileEncoder(config)
    preprocess = Preprocess(config.classifier_inputs, config.encoding)
    for first in range(0, len(paths), batch_size):
        part = paths[first : first + batch_size]
        encoded = [_encoded(reader, path) for path in part]
        good = [image for image in encoded if not isinstance(image, ImageDefect)]
        answers: Iterator[tuple[np.ndarray, np.ndarray]] = iter(())
        if good:
            codes = torch.from_numpy(np.stack([image.codes for image in good])).to(device)
            sizes = np.array([image.size for image in good], np.int32)
            with torch.inference_mode():
                logits = compute_logits(network, preprocess(codes, sizes))
            answers = _most_probable(logits.cpu().double(), top)
        for path, image in zip(part, encoded, strict=True):
            if isinstance(image, ImageDefect):
                yield Failure(path, image)
            else:
                yield Prediction(path, *next(answers))


def _most_probable(logits: torch.Tensor, top: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return classes and probabilities of each row, the most probable first."""
    if not logits.isfinite().all():
        raise RunError("the network answers with numbers that are not finite", "train it again")
    probabilities, classes = logits.softmax(1).sort(dim=1, descending=True, stable=True)
    yield from zip(classes[:, :top].numpy(), probabilities[:, :top].numpy(), strict=True)


def _encoded(reader: FileEncoder, path: bytes) -> ImageCodes | ImageDefect:
    try:
        return reader.encode(bytes_of(path))
    except ImageDefect as defect:
        return defect
