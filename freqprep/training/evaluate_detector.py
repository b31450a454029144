"""COCO's metrics of a detector on a split; the same on any number of processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from freqprep.augment import DetectorInput, DetectorPreprocess
from freqprep.errors import CorruptStoreError, RunError
from freqprep.images.decode import MAX_PIXELS
from freqprep.images.geometry import Placement
from freqprep.models.detection import Detector
from freqprep.progress import Progress
from freqprep.store.split import Split
from freqprep.training.coco_metrics import Figures, coco_figures
from freqprep.training.coco_results import Detections, detections_of, results_of_image
from freqprep.training.coco_truth import coco_truth
from freqprep.training.distributed import World, without_benchmark
from freqprep.training.evaluate_classifier import eval_mode, sequential_loader

_READ_AT_ONCE = 8


@dataclass(frozen=True, eq=False)
class DetectionEvaluation:
    """Results of a detector on the valid images of a split.

    Attributes
    ----------
    images, rejected : int
        Valid images, all of which were shown, and rows whose image was rejected at conversion.
    objects : int
        Of the valid images, crowds left out.
    box, mask : Figures
        Of boxes, and of masks; None of a detector without masks.
    strict_box, strict_mask : Figures
        The same with the rejected images' objects among those to be found.
    results : list of dict
        COCO's results, image after image in the order of the rows.
    """

    images: int
    rejected: int
    objects: int
    box: Figures
    mask: Figures | None
    strict_box: Figures
    strict_mask: Figures | None
    results: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data, without the results; ``class_ap`` is by class of the split."""
        figures = {
            name: getattr(self, name) for name in ("box", "mask", "strict_box", "strict_mask")
        }
        return {
            "images": self.images,
            "rejected": self.rejected,
            "objects": self.objects,
            **{name: one and one.values for name, one in figures.items()},
            "class_ap": {
                "box": self.box.class_ap,
                "mask": None if self.mask is None else self.mask.class_ap,
            },
        }


def evaluate_detector(
    network: Detector,
    inputs: DetectorInput,
    split: Split,
    class_ids: Sequence[str | int],
    world: World,
    *,
    threads: int | None,
) -> DetectionEvaluation:
    """Evaluate a detector on every valid image of a split.

    Each image is shown alone, so that what is found in it depends on no other.

    Parameters
    ----------
    network : Detector
        Bare, on ``world.device``; put into evaluation mode and back.
    inputs : DetectorInput
    split : Split
        With annotated objects.
    class_ids : sequence of str or int
        Of the network's classes. Detections of a class that the split does not have are left out.
    world : World
    threads : int or None
        Threads that read and decode; None as in `Loader`.

    Returns
    -------
    DetectionEvaluation
        The same in every process.
    """
    ours = {*split.attributes.class_ids}
    categories: list[Any] = [name if name in ours else None for name in class_ids]
    image_ids = split.array("image_id")
    mine = [
        (row, results_of_image(int(image_ids[row]), found, categories))
        for row, found in _found(network, inputs, split, world, threads)
    ]
    everything = dict(pair for part in world.gather(mine) for pair in part)
    results = [entry for row in sorted(everything) for entry in everything[row]]
    truth = coco_truth(split)
    rejected = len(split) - len(everything)
    kinds = ("bbox", "segm") if network.has_masks else ("bbox",)
    figures = [coco_figures(truth, results, kind) for kind in kinds]
    strict = figures
    if rejected:
        whole = coco_truth(split, rejected=True)
        strict = [coco_figures(whole, results, kind) for kind in kinds]
    return DetectionEvaluation(
        len(everything),
        rejected,
        sum(not one.get("iscrowd", 0) for one in truth["annotations"]),
        figures[0],
        figures[1] if network.has_masks else None,
        strict[0],
        strict[1] if network.has_masks else None,
        results,
    )


def _found(
    network: Detector, inputs: DetectorInput, split: Split, world: World, threads: int | None
) -> Iterator[tuple[int, Detections]]:
    """Yield row and detections of each image that this process is dealt."""
    placements = _placements(split)
    valid = int(split.valid.sum())
    with (
        sequential_loader(
            split, inputs, world, batch_size=_READ_AT_ONCE, threads=threads
        ) as loader,
        eval_mode(network),
        without_benchmark(),  # images differ in shape
        Progress("evaluating", valid) if world.is_leader else contextlib.nullcontext() as progress,
    ):
        preprocess = DetectorPreprocess(inputs, split.attributes.encoding)
        for batch in loader:
            for image, row in enumerate(batch.rows.tolist()):
                one = slice(image, image + 1)
                found, frame = detect(network, preprocess, batch.codes[one], batch.sizes[one])
                yield row, detections_of(found, frame, *placements[row])
            if progress is not None:  # the other processes are about as far
                begun = batch.step * _READ_AT_ONCE
                progress.update(min(world.size * _READ_AT_ONCE, valid - begun))


def _placements(split: Split) -> dict[int, tuple[tuple[int, int], Placement]]:
    """Return the source size and the placement of each valid row; sizes must match."""
    geometry = split.attributes.encoding.geometry
    sources, sizes = split.array("source_size").tolist(), split.sizes.tolist()
    places = {}
    for row in np.flatnonzero(split.valid).tolist():
        height, width = sources[row]
        usable = min(height, width) >= 1 and height * width <= MAX_PIXELS
        place = geometry.place(height, width) if usable else None
        if place is None or list(place.size) != sizes[row]:
            raise CorruptStoreError(
                f"row {row} of {split.path}: an image of {width}x{height} pixels is not stored with"
                f" {sizes[row][1]}x{sizes[row][0]}",
                "restore the split from a copy, or convert again with --overwrite",
            )
        places[row] = (height, width), place
    return places


def detect(
    network: Detector, preprocess: DetectorPreprocess, codes: torch.Tensor, sizes: np.ndarray
) -> tuple[dict[str, torch.Tensor], tuple[int, int]]:
    """Detect the objects of one image.

    Parameters
    ----------
    network : Detector
        In evaluation mode.
    preprocess : DetectorPreprocess
    codes : Tensor of int8 or int16, shape (1, C, rows, columns)
    sizes : ndarray of int, shape (1, 2)
        Valid height and width in stored pixels.

    Returns
    -------
    dict of str to Tensor
        Boxes, scores, labels and masks in pixels of the frame.
    tuple of int
        Height and width of the frame.
    """
    framed = preprocess(codes, sizes)
    with torch.autocast("cuda", torch.bfloat16, framed.images.device.type == "cuda"):
        found: Any = network(framed.images, framed.sizes)
    return found[0], framed.sizes[0]


def check_finite(network: Detector) -> None:
    """Refuse weights that are not finite: such a network finds nothing, or anything.

    Raises
    ------
    RunError
    """
    for name, values in network.state_dict().items():
        if not values.isfinite().all():
            raise RunError(f"the network's {name} is not finite", "train it again")
