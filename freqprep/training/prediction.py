"""Answers of a run's network for ordinary image files, prepared as its training images were.

A file becomes the codes that conversion would store, those codes the input that evaluation would
make of them: nothing else is between a file and its answer.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freqprep.augment import Preprocess
from freqprep.encoding import Encoder
from freqprep.errors import ImageDefect, RunError, SourceChangedError, SourceError
from freqprep.images import MAX_FILE_BYTES
from freqprep.progress import say
from freqprep.sources import folders
from freqprep.sources.files import read_image_bytes, shown
from freqprep.sources.listing import WHOLE_FILE
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.training.card import Card
from freqprep.training.evaluation import answer


@dataclass(frozen=True)
class Prediction:
    """What a network answers for one file.

    Attributes
    ----------
    path : bytes
    classes : ndarray of int64, shape (top,)
        Indices into the card's classes, the most probable first.
    probabilities : ndarray of float64, shape (top,)
    """

    path: bytes
    classes: np.ndarray
    probabilities: np.ndarray

    def to_dict(self, card: Card) -> dict[str, Any]:
        """As JSON data."""
        return {
            "path": os.fsdecode(self.path),
            "predictions": [
                {
                    "class_id": card.class_ids[index],
                    "class_name": card.class_names[index],
                    "probability": probability,
                }
                for index, probability in zip(
                    self.classes.tolist(), self.probabilities.tolist(), strict=True
                )
            ],
        }


@dataclass(frozen=True)
class Failure:
    """A file that has no answer.

    Attributes
    ----------
    path : bytes
    defect : ImageDefect
        Why it cannot be used; the reason is one of `freqprep.images.REASONS`.
    """

    path: bytes
    defect: ImageDefect

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "path": os.fsdecode(self.path),
            "reason": self.defect.reason,
            "detail": self.defect.detail,
        }


def find_images(places: Sequence[Path]) -> list[bytes]:
    """The files meant by some paths: a folder stands for all images in and below it, sorted.

    What is an image in a folder is decided as in converting; what is no folder is taken as it is.

    Raises
    ------
    SourceError
        Nothing but folders without images, or a folder that cannot be listed.
    """
    found: list[bytes] = []
    for place in places:
        if not os.path.isdir(place):
            found.append(os.fsencode(place))
            continue
        ignored: Counter[str] = Counter()
        inside = sorted(image.path for image in folders.images(place, folders.top(place), ignored))
        if not inside:
            say(f"note: no image in {shown(os.fsencode(place))}")
        found += [os.path.join(os.fsencode(place), path) for path in inside]
    if not found:
        raise SourceError("there is no image to answer for", "name image files, or their folder")
    return found


def predict(
    card: Card,
    network: torch.nn.Module,
    device: torch.device,
    paths: Sequence[bytes],
    *,
    top: int = 5,
    batch_size: int = 32,
) -> Iterator[Prediction | Failure]:
    """A network's most probable classes for some files, in the order given, batch by batch.

    Parameters
    ----------
    card : Card
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
    RunError
        The network's answer is not finite.
    """
    reader = _Reader(card)
    preprocess = Preprocess(card.classifier_inputs, card.steps, card.encoding.geometry.grid)
    for first in range(0, len(paths), batch_size):
        part = paths[first : first + batch_size]
        encoded = [reader.read(path) for path in part]
        good = [image for image in encoded if not isinstance(image, ImageDefect)]
        answers: Iterator[tuple[np.ndarray, np.ndarray]] = iter(())
        if good:
            codes = torch.from_numpy(np.stack([image.codes for image in good])).to(device)
            sizes = np.array([image.size for image in good], np.int32)
            with torch.inference_mode():
                logits = answer(network, preprocess(codes, sizes))
            answers = _most_probable(logits.cpu().double(), top)
        for path, image in zip(part, encoded, strict=True):
            if isinstance(image, ImageDefect):
                yield Failure(path, image)
            else:
                yield Prediction(path, *next(answers))


def _most_probable(logits: torch.Tensor, top: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Classes and probabilities of each row, the most probable first, equal ones in order."""
    if not logits.isfinite().all():
        raise RunError("the network answers with numbers that are not finite", "train it again")
    probabilities, classes = logits.softmax(1).sort(dim=1, descending=True, stable=True)
    yield from zip(classes[:, :top].numpy(), probabilities[:, :top].numpy(), strict=True)


@dataclass(frozen=True)
class _Encoded:
    """Codes (channels read, rows, columns), and height and width in stored pixels."""

    codes: np.ndarray
    size: tuple[int, int]


class _Reader:
    """Encodes files as a conversion into the network's own kind of store would."""

    def __init__(self, card: Card) -> None:
        encoding = card.encoding
        self._encoder = Encoder(encoding)
        self._all = np.zeros((CHANNELS, *encoding.geometry.grid), encoding.dtype)
        self._read = [STORED_POSITION[index] for index in card.inputs.read_selection.indices]

    def read(self, path: bytes) -> _Encoded | ImageDefect:
        """One file's codes, or why there are none."""
        self._all.fill(0)
        try:
            image = self._encoder.encode(_bytes_of(path), None, self._all)
        except ImageDefect as defect:
            return defect
        return _Encoded(self._all[self._read], image.size)


def _bytes_of(path: bytes) -> bytes:
    length, changed = 0, 0  # of what is no file: reading then says what it is
    with contextlib.suppress(OSError):
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            length, changed = status.st_size, status.st_mtime_ns
    try:
        return read_image_bytes(Path(), path, WHOLE_FILE, length, changed, MAX_FILE_BYTES)
    except SourceChangedError:
        raise ImageDefect("unreadable", "it is being changed") from None
