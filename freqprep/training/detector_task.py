"""Training task of a detector: input, loss and validation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
import torch

from freqprep.augment import DetectorAugment, DetectorInput, DetectorPolicy, DetectorPreprocess
from freqprep.augment.detector_targets import SMALLEST, visible_extents
from freqprep.errors import UsageError, some
from freqprep.images.geometry import sides_of_boxes
from freqprep.models.detection import MASK_DETECTORS, STAGES, Detector, check_numbers
from freqprep.models.initial import Loaded, recalibrate_batch_norm
from freqprep.models.networks import multiply_accumulates
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.text.quantities import percent, plural
from freqprep.training.channels import chosen_channels
from freqprep.training.class_matching import check_images, count_unknown
from freqprep.training.coco_metrics import load_evaluator
from freqprep.training.curves import Panel
from freqprep.training.distributed import World
from freqprep.training.evaluate_detector import evaluate_detector
from freqprep.training.model_config import ModelConfig
from freqprep.training.parent_run import normalised_as, parent_config
from freqprep.training.request import RunPlan, TrainingRequest

DEFAULT_GRID = 200
"""Places of the short side: a frame of 800 pixels."""

GRIDS = (8, 512)
_CALIBRATION_IMAGES = 16


def _refuse_nothing_to_learn(train: Split) -> None:
    objects = train.objects
    visible = (visible_extents(objects, train.sizes) > 0).all(axis=1)
    if not (objects.within(train.valid) & ~objects.iscrowd & visible).any():
        raise UsageError(
            f"{train.path} has no annotated object in any of its"
            f" {plural(int(train.valid.sum()), 'image')}"
            " (crowds, and boxes without an area or outside their image, are not learned from)",
            "train on a split with objects: see --train-split and `freqprep info`",
        )


def _learned(train: Split, inputs: DetectorInput) -> str:
    """Count the objects that are learned from, in whole images, and those that are not."""
    objects, images = train.objects, int(train.valid.sum())
    valid = objects.within(train.valid)
    scale = inputs.frame_sizes(np.maximum(train.sizes, 1)) / np.maximum(train.sizes, 1)
    scale = sides_of_boxes(scale, np.diff(objects.offsets))
    large = (visible_extents(objects, train.sizes) * scale >= SMALLEST).all(axis=1)
    learned = valid & ~objects.iscrowd & large
    owner = np.repeat(np.arange(len(train)), np.diff(objects.offsets))
    with_objects = len(np.unique(owner[learned]))
    crowds, small = (
        int(np.count_nonzero(valid & which))
        for which in (objects.iscrowd, ~objects.iscrowd & ~large)
    )
    left_out = [plural(crowds, "crowd")] * (crowds > 0)
    if small:
        left_out.append(f"{plural(small, 'box')} of less than a pixel within the image")
    said = (
        f"{plural(images, 'image')}: {plural(int(learned.sum()), 'object')} to learn from in"
        f" {with_objects:,} of them, none in {images - with_objects:,}"
    )
    return f"{said}; not learned from: {', '.join(left_out)}" if left_out else said


def _check_frozen(network: Detector, initialised: Collection[str]) -> None:
    """Refuse stages that would keep random weights.

    Parameters
    ----------
    network : Detector
    initialised : collection of str
        Names of the tensors that no file gave.

    Raises
    ------
    UsageError
    """
    kept = [
        name
        for name, parameter in network.named_parameters()
        if not parameter.requires_grad and name in initialised
    ]
    if kept:
        raise UsageError(
            f"frozen stages would keep random weights: {some(kept)}",
            "train all stages (--trained-stages 4), or begin with weights for the same channels",
        )


class DetectorTask:
    """The task of a detector; see `freqprep.training.tasks.TrainingTask`.

    Parameters
    ----------
    request : TrainingRequest
    plan : RunPlan

    Attributes
    ----------
    augment : DetectorAugment
    """

    kind: ClassVar[str] = "detector"
    curve_panels: ClassVar[tuple[Panel, ...]] = (
        Panel(
            "loss", 1, (("train", "loss", "all"), ("train", "loss_rpn_box_reg", "proposals' boxes"))
        ),
        Panel(
            "AP, %", 100, (("validation", "box_AP", "boxes"), ("validation", "mask_AP", "masks"))
        ),
    )
    varied_shapes: ClassVar[bool] = True
    arithmetic_unit: ClassVar[str] = "an image (backbone, 4:3)"

    @staticmethod
    def prepare(
        request: TrainingRequest,
        train: Split,
        val: Split | None,
        processes: int,
        begun: ModelConfig | None,
    ) -> DetectorInput:
        """Check that a detector can be trained, and return its input; see `TrainingTask`.

        What was measured for a run to resume is not measured again.
        """
        for split in filter(None, (train, val)):
            check_images(split)
            _ = split.objects  # says so where there are none
        _refuse_nothing_to_learn(train)
        if val is not None:
            load_evaluator()  # before the first epoch, not after it
        _refuse_what_classifiers_have(request)
        check_numbers(len(train.attributes.class_ids), request.trained_stages, request.regions)
        frozen = DetectorTask.freezes_norms(request)
        recipe = request.recipe
        least = recipe.batch_size // processes // recipe.accumulate
        if least < 1:
            raise UsageError(
                f"a batch of {recipe.batch_size} over {plural(processes, 'process')} in"
                f" {recipe.accumulate}"
                " parts leaves some of them without an image",
                "use a larger --batch-size, or fewer parts",
            )
        grid = DEFAULT_GRID if request.grid is None else request.grid
        if not GRIDS[0] <= grid <= GRIDS[1]:
            raise UsageError(
                f"{request.model} cannot take a grid of {grid} places",
                f"choose a grid from {GRIDS[0]} to {GRIDS[1]}; {DEFAULT_GRID} is the published one",
            )
        if grid == GRIDS[0] and least == 1 and not frozen and request.trained_stages:
            raise UsageError(
                f"a grid of {grid} places may leave the last stage a single one, and batch norm"
                " needs two for a step of one image",
                "use a larger --grid, or more images for each part of a batch and process",
            )
        # Images are enlarged about three times: that needs far more neighbours than a crop does.
        used, read = chosen_channels(request, train, read_all=True)
        if used is None:
            return DetectorInput.rgb(read, grid)
        if begun is not None and isinstance(begun.inputs, DetectorInput):
            as_begun = begun.inputs
            if as_begun.fits(used, read, grid):
                return as_begun
        inputs = DetectorInput.frequency(train, used, read, grid)
        return normalised_as(inputs, parent_config(request.init))

    @staticmethod
    def recipe_fields(request: TrainingRequest, train: Split) -> dict[str, Any]:
        """Return the numbers of a detector's training."""
        return {"trained_stages": request.trained_stages, "regions": request.regions}

    @staticmethod
    def freezes_norms(request: TrainingRequest) -> bool:
        """Whether the norms of the backbone are frozen.

        Raises
        ------
        UsageError
            They, or a stage, would be, with nothing in them.
        """
        if request.trained_stages < len(STAGES) and request.init is None:
            raise UsageError(
                f"--trained-stages {request.trained_stages} without --init: the others would keep"
                " random weights",
                "begin with weights, or let all stages train",
            )
        if request.frozen_norm and request.init is None:
            raise UsageError(
                "--batch-norm frozen without --init: there are no statistics to keep",
                "begin with weights, or let the norms train",
            )
        return request.init is not None if request.frozen_norm is None else request.frozen_norm

    @staticmethod
    def notes(plan: RunPlan) -> list[str]:
        """Return remarks to print before a detector is trained."""
        train, inputs = plan.train, plan.config.inputs
        assert isinstance(inputs, DetectorInput)
        notes = [_learned(train, inputs)]
        if plan.val is not None and (unknown := count_unknown(plan.config, plan.val)):
            notes.append(
                f"{train.path} does not have {plural(unknown, 'class')} of {plan.val.path}: objects"
                " of other classes are never found"
            )
        return notes

    def __init__(self, request: TrainingRequest, plan: RunPlan) -> None:
        self._config, self._threads = plan.config, request.threads
        self._train, self._encoding = plan.train, plan.train.attributes.encoding
        policy, inputs = request.recipe.policy, plan.config.inputs
        assert isinstance(policy, DetectorPolicy) and isinstance(inputs, DetectorInput)
        self._inputs = inputs
        masks = plan.config.model in MASK_DETECTORS
        self.augment = DetectorAugment(
            inputs, self._encoding, policy, request.seed, plan.train.objects, masks
        )

    def inputs_at(self, epoch: int) -> DetectorInput:
        """Return the network's input: it is that of all epochs."""
        return self._inputs

    def grid_at(self, epoch: int) -> int:
        """Return the grid positions of the short side."""
        return self._inputs.grid

    def loss(
        self, model: Any, batch: Batch, key: tuple[int, int, int]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Sum torchvision's losses of proposals, boxes, classes and masks."""
        framed = batch.inputs
        losses = model(framed.images, framed.sizes, framed.targets)
        total = torch.stack(list(losses.values())).sum()
        return total, {"loss": total.detach(), **{k: v.detach() for k, v in losses.items()}}

    def validate(
        self, network: torch.nn.Module, split: Split, world: World
    ) -> tuple[dict[str, Any], dict[str, float | None], str]:
        """Compute COCO's metrics."""
        assert isinstance(network, Detector)
        ids = self._config.class_ids
        found = evaluate_detector(network, self._inputs, split, ids, world, threads=self._threads)
        document = found.to_dict()
        document.pop("class_ap")
        numbers: dict[str, float | None] = {}
        texts = []
        for what in ("box", "mask"):
            figures = document[what]
            if figures is not None:
                numbers |= {f"{what}_{name}": value for name, value in figures.items()}
                texts += [f"{what} {name} {percent(figures[name])}" for name in ("AP", "AP50")]
        return document, numbers, f"validation {', '.join(texts)}"

    def arithmetic(self, network: torch.nn.Module) -> int:
        """Count those of backbone and pyramid for an image of 4:3; the rest varies by image."""
        assert isinstance(network, Detector)
        inputs = self._inputs
        height, width = inputs.canvas(inputs.frame_sizes(np.array([[480, 640]])))
        shape = inputs.planes, height // inputs.stride, width // inputs.stride
        return multiply_accumulates(network.backbone, shape)

    def input_size(self) -> str:
        """Describe the grid of frequency inputs, and the sides of images."""
        inputs = self._inputs
        grid = f"grid {inputs.short // inputs.stride}, " * bool(inputs.channels)
        return f"{grid}short side {inputs.short} pixels, long side at most {inputs.longest}"

    def complete_weights(
        self, network: torch.nn.Module, given: Loaded, device: torch.device
    ) -> str:
        """Measure the statistics that the norms behind new convolutions lack.

        Raises
        ------
        UsageError
            Stages that are not trained would keep random weights.
        """
        assert isinstance(network, Detector)
        _check_frozen(network, given.initialised)
        recalibrate_batch_norm(network, given.initialised, lambda: self.calibration_images(device))
        return ""

    def brief(self, values: dict[str, float]) -> tuple[str, ...]:
        """Format the losses."""
        parts = (
            f"{name.removeprefix('loss_')} {value:.3f}"
            for name, value in values.items()
            if name.startswith("loss_")
        )
        return f"loss {values['loss']:.3f}", *parts

    def calibration_images(self, device: torch.device) -> torch.Tensor:
        """Return the network's input for the first valid images, to recalibrate norms with.

        Only the places that all of them have: on a canvas the zeros beside images, which may be
        half of it, would count as images.
        """
        rows = np.flatnonzero(self._train.valid)[:_CALIBRATION_IMAGES]
        codes = self._train.read_codes(rows, self._inputs.read_selection)
        preprocess = DetectorPreprocess(self._inputs, self._encoding)
        sizes = self._train.sizes[rows]
        images = preprocess(torch.from_numpy(codes).to(device), sizes).images
        height, width = (
            self._inputs.grid_sizes(self._inputs.frame_sizes(sizes)).min(axis=0).tolist()
        )
        return images[:, :, :height, :width]


def _refuse_what_classifiers_have(request: TrainingRequest) -> None:
    recipe = request.recipe
    given = {
        "--gate": request.gate,
        "--strides": request.strides != "canonical",
        "patches": request.patches,
        "--mixup": recipe.mixup,
        "--cutmix": recipe.cutmix,
        "label smoothing": recipe.label_smoothing,
        "--aligned-crops": not isinstance(recipe.policy, DetectorPolicy),
        "--compile": request.compile,  # shapes change with every batch
        "--grid-ramp": recipe.grid_ramp,
        "--early-read": request.early_read is not None,
    }
    if wrong := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{request.model} has no {', '.join(wrong)}", "leave it out: it is for classifiers"
        )
