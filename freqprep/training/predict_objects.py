"""Predictions of a run's detector for image files, prepared as its training images were.

As with classifiers, a file becomes the codes that conversion would store; each image is shown
alone, as in evaluation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from freqprep.augment import DetectorInput, DetectorPreprocess
from freqprep.drawing.object_overlay import draw_objects
from freqprep.errors import ImageDefect, UsageError
from freqprep.images.decode import decode
from freqprep.images.rle import decode_mask
from freqprep.models.detection import Detector
from freqprep.training.coco_results import Detections, detections_of, results_of_image
from freqprep.training.evaluate_detector import check_finite, detect
from freqprep.training.model_config import ModelConfig
from freqprep.training.predict_files import Failure, FileEncoder, bytes_of

__all__ = ["FoundObjects", "predict_objects"]

_LARGEST_ID = 2**53
"""Whole numbers beyond are not the same in every reader of JSON."""


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """Detections in one file.

    Attributes
    ----------
    path : bytes
    data : bytes
        The file's bytes: what the pixels of a picture are decoded from.
    detections : Detections
        In the file's pixels; turned by its EXIF orientation where the run's geometry says so.
    """

    path: bytes
    data: bytes
    detections: Detections

    def at_least(self, score: float) -> FoundObjects:
        """Return the detections with at least this score."""
        return FoundObjects(self.path, self.data, self.detections.at_least(score))

    def results(self, config: ModelConfig, image_id: int) -> list[dict[str, Any]]:
        """Return entries of a COCO result file."""
        return results_of_image(image_id, self.detections, category_ids(config))

    def to_dict(self, config: ModelConfig, image_id: int) -> dict[str, Any]:
        """Return JSON data: each detection is a COCO result with its class's name."""
        return {
            "path": os.fsdecode(self.path),
            "image_id": image_id,
            "size": list(self.detections.size),
            "detections": [
                {
                    **result,
                    "class_id": config.class_ids[label],
                    "class_name": config.class_names[label],
                }
                for result, label in zip(
                    self.results(config, image_id), self.detections.labels.tolist(), strict=True
                )
            ],
        }


def predict_objects(
    config: ModelConfig,
    network: torch.nn.Module,
    device: torch.device,
    paths: Sequence[bytes],
    *,
    threshold: float = 0.5,
) -> Iterator[FoundObjects | Failure]:
    """Detect the objects of some files, in the order given.

    Parameters
    ----------
    config : ModelConfig
        Of a detector.
    network : Detector
        In evaluation mode on ``device``.
    device : torch.device
    paths : sequence of bytes
    threshold : float
        Least score of a detection. The network itself gives none of 0.05 or less.

    Yields
    ------
    FoundObjects or Failure
        A file that cannot be used stops none of the others.

    Raises
    ------
    UsageError
        It is the config of a classifier, or the threshold is not from 0 to 1.
    RunError
        A weight is not finite: such a network finds nothing, or anything.
    """
    if not isinstance(config.inputs, DetectorInput) or not isinstance(network, Detector):
        raise UsageError(f"{config.model} is a classifier", "name the run of a detector")
    if not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise UsageError(f"threshold must be from 0 to 1, got {threshold!r}")
    check_finite(network)
    reader, geometry = FileEncoder(config), config.encoding.geometry
    preprocess = DetectorPreprocess(config.inputs, config.encoding)
    for path in paths:
        try:
            data = bytes_of(path)
            image = reader.encode(data)
        except ImageDefect as defect:
            yield Failure(path, defect)
            continue
        codes = torch.from_numpy(image.codes[None]).to(device)
        with torch.inference_mode():
            found, frame = detect(network, preprocess, codes, np.array([image.size], np.int32))
            kept = found["scores"].double() >= threshold
            found = {name: values[kept] for name, values in found.items()}
        place = geometry.place(*image.source)
        yield FoundObjects(path, data, detections_of(found, frame, image.source, place))


def image_ids(paths: Sequence[bytes]) -> list[int]:
    """Return COCO's image id of each file: the number in its name, as 139 in ``000000000139.jpg``.

    Where a name is no number, or two are the same one, the places in the order given, from 1.
    """
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    numbers = [int(stem) for stem in stems if stem.isdigit()]
    if len({*numbers}) == len(paths) and max(numbers, default=0) <= _LARGEST_ID:
        return numbers
    return list(range(1, len(paths) + 1))


def category_ids(config: ModelConfig) -> list[int]:
    """Return COCO's category id of each class: its own if all are integers, else 1, 2, ..."""
    whole = [name for name in config.class_ids if isinstance(name, int)]
    count = len(config.class_ids)
    return whole if len(whole) == count else list(range(1, count + 1))


def drawn(found: FoundObjects, config: ModelConfig) -> np.ndarray:
    """Draw the detections on the file's picture.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        RGB, of the size that the detections are in.
    """
    detections = found.detections
    picture = decode(found.data, config.encoding.geometry.orientation).rgb()
    scores = zip(detections.labels.tolist(), detections.scores.tolist(), strict=True)
    captions = [f"{config.class_names[label]} {100 * score:.0f} %" for label, score in scores]
    counts = detections.masks
    masks = None if counts is None else [decode_mask(each, detections.size) for each in counts]
    return draw_objects(picture, detections.boxes, captions, masks, detections.labels)
