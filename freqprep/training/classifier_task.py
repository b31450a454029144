"""Training task of a classifier: input, loss and validation."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import torch

from freqprep.augment import Augment, ClassifierInput, Policy, mix
from freqprep.augment.crops import aligned_crop
from freqprep.errors import UsageError
from freqprep.models.initial import Loaded
from freqprep.models.networks import STEM_STRIDE, check_grid, multiply_accumulates
from freqprep.spectrum import BLOCK
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.text.quantities import plural
from freqprep.training.channels import chosen_channels
from freqprep.training.class_matching import check_images, count_unknown, match_classes
from freqprep.training.curves import Panel
from freqprep.training.distributed import World
from freqprep.training.evaluate_classifier import evaluate_classifier
from freqprep.training.gate_goal import check_goal
from freqprep.training.grid_ramp import check_early_read, check_ramp, chosen_grid
from freqprep.training.model_config import ModelConfig
from freqprep.training.parent_run import normalised_as, parent_config
from freqprep.training.request import RunPlan, TrainingRequest
from freqprep.training.transfer import fit_to_rgb

_MANY = 0.5
_LEAST_IMAGES = 2


class ClassifierTask:
    """The task of a classifier; see `freqprep.training.tasks.TrainingTask`.

    Parameters
    ----------
    request : TrainingRequest
    plan : RunPlan
    """

    kind: ClassVar[str] = "classifier"
    curve_panels: ClassVar[tuple[Panel, ...]] = tuple(
        Panel(title, factor, (("train", name, "train"), ("validation", name, "validation")))
        for title, factor, name in (("cross-entropy", 1, "loss"), ("top-1, %", 100, "top1"))
    )
    varied_shapes: ClassVar[bool] = False
    arithmetic_unit: ClassVar[str] = "an image"

    @staticmethod
    def prepare(
        request: TrainingRequest,
        train: Split,
        val: Split | None,
        processes: int,
        begun: ModelConfig | None,
    ) -> ClassifierInput:
        """Check that a classifier can be trained, and return its input; see `TrainingTask`.

        What was measured for a run to resume is not measured again.
        """
        for split in filter(None, (train, val)):
            _check_labels(split)
        _refuse_one_class(train)
        _refuse_what_detectors_have(request)
        inputs = _inputs(request, train, begun)
        _check_batches(request, inputs, train, processes)
        check_goal(request, train, inputs)
        return inputs

    @staticmethod
    def recipe_fields(request: TrainingRequest, train: Split) -> dict[str, Any]:
        """Return the channels read early, where some are chosen."""
        if request.early_read is None:
            return {}
        return {"early_read": list(select(request.early_read, train).names)}

    @staticmethod
    def freezes_norms(request: TrainingRequest) -> bool:
        """Return False: a classifier's norms are trained."""
        return False

    @staticmethod
    def notes(plan: RunPlan) -> list[str]:
        """Return remarks to print before a classifier is trained."""
        notes = [_detail(plan)]
        if plan.val is not None and (unknown := count_unknown(plan.config, plan.val)):
            notes.append(
                f"{plan.train.path} does not have {plural(unknown, 'class')} of {plan.val.path}:"
                " images of other classes count as wrong"
            )
        return [note for note in notes if note]

    def __init__(self, request: TrainingRequest, plan: RunPlan) -> None:
        self._config, self._recipe = plan.config, request.recipe
        self._threads = request.threads
        self._inputs = plan.config.classifier_inputs
        self._train, self._seed = plan.train, request.seed
        self._early_read = tuple(plan.config.recipe.get("early_read", self._inputs.read))
        self._grid = chosen_grid(request)
        self._augments: dict[int, Augment] = {}  # by grid

    def inputs_at(self, epoch: int) -> ClassifierInput:
        """Describe the input of an epoch; see `TrainingTask`.

        Its size and the channels read follow the ramp, but not the normalisation: the network
        would have to learn again what its inputs mean with each grid.
        """
        grid, inputs = self.grid_at(epoch), self._inputs
        sized = inputs.sized(self._train, grid * (inputs.side // self._grid))
        ramp = self._recipe.grid_ramp
        early = ramp is not None and grid < ramp[1]
        return dataclasses.replace(sized, read=self._early_read) if early else sized

    def grid_at(self, epoch: int) -> int:
        """Return the grid of an epoch; see `TrainingTask`."""
        return self._recipe.training_grid(epoch, self._grid)

    def augment(self, batch: Batch) -> torch.Tensor:
        """Augment a batch to the input of its epoch; see `Augment`."""
        grid = self.grid_at(batch.epoch)
        if grid not in self._augments:
            policy, encoding = self._recipe.policy, self._train.attributes.encoding
            assert isinstance(policy, Policy)
            inputs = self.inputs_at(batch.epoch)
            # What autocast would round next; mixup blends before that.
            half = batch.codes.device.type == "cuda" and not self._recipe.mixup
            dtype = torch.bfloat16 if half else torch.float32
            self._augments[grid] = Augment(inputs, encoding, policy, self._seed, dtype)
        return self._augments[grid](batch)

    def loss(
        self, model: Any, batch: Batch, key: tuple[int, int, int]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the cross-entropy; a gate for each image adds its weighted share of open ones."""
        recipe = self._recipe
        classes = len(self._config.class_ids)
        inputs, targets = mix(batch.inputs, batch.labels, classes, recipe.mixup, recipe.cutmix, key)
        logits = model(inputs)
        loss = torch.nn.functional.cross_entropy(
            logits.float(), targets, label_smoothing=recipe.label_smoothing
        )
        right = logits.detach().argmax(1) == batch.labels
        numbers = {"loss": loss.detach(), "top1": right.float().mean()}
        if self._config.gate and not self._config.selects:
            gates = _bare(model).gate.last_open.float().mean()
            numbers["gates_open"] = gates.detach()
            loss = loss + recipe.gate_lambda * gates
        return loss, numbers

    def validate(
        self, network: torch.nn.Module, split: Split, world: World
    ) -> tuple[dict[str, Any], dict[str, float | None], str]:
        """Measure top-1 and top-5 accuracy."""
        found = evaluate_classifier(
            network,
            self._inputs,
            split,
            match_classes(self._config, split),
            world,
            batch_size=self._recipe.batch_size,
            threads=self._threads,
        )
        document = found.to_dict()
        numbers: dict[str, float | None]
        numbers = {k: v for k, v in document.items() if isinstance(v, (int, float))}
        shares = (found.top1 / found.images, found.top5 / found.images)
        line = "validation loss {:.4f}, top-1 {:.2%}, top-5 {:.2%}".format(found.loss, *shares)
        return document, numbers, line

    def arithmetic(self, network: torch.nn.Module) -> int:
        """Count the multiply-accumulates of the whole network."""
        return multiply_accumulates(network, self._inputs.shape)

    def input_size(self) -> str:
        """Describe the grid of frequency inputs, and the crop."""
        inputs = self._inputs
        grid = f"grid {inputs.shape[1]}x{inputs.shape[2]}, " * bool(inputs.channels)
        return f"{grid}crop {inputs.side}x{inputs.side} pixels"

    def complete_weights(
        self, network: torch.nn.Module, given: Loaded, device: torch.device
    ) -> str:
        """Fit the first stages on coefficients to those of an RGB network that was given."""
        model = self._config.model
        return fit_to_rgb(network, model, given, self._inputs, self._train, device)

    def brief(self, values: dict[str, float]) -> tuple[str, ...]:
        """Format loss, accuracy and open gates."""
        gates = (f"gates open {values['gates_open']:.1%}",) if "gates_open" in values else ()
        if "channels_open" in values:
            gates = (f"{values['channels_open']:.1f} channels open",)
        return f"loss {values['loss']:.3f}", f"top-1 {values['top1']:.1%}", *gates


def _bare(model: Any) -> Any:
    """Return the network itself, unwrapped if it is compiled or distributed."""
    for wrapper in ("_orig_mod", "module"):
        model = getattr(model, wrapper, model)
    return model


def _refuse_what_detectors_have(request: TrainingRequest) -> None:
    given = {
        "--batch-norm": request.frozen_norm is not None,
        "--trained-stages": request.trained_stages != TrainingRequest.trained_stages,
        "--regions": request.regions != TrainingRequest.regions,
        "--smallest-crop": not isinstance(request.recipe.policy, Policy),
    }
    if wrong := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{request.model} has no {', '.join(wrong)}", "leave it out: it is for detectors"
        )


def _check_labels(split: Split) -> None:
    """Refuse a split that has nothing to learn from, or images without a label."""
    check_images(split)
    without = int((split.labels[split.valid] < 0).sum())
    if without:
        some = f"{plural(without, 'image')} without a label"
        what = "no labels" if without == split.valid.sum() else some
        remedy = "a classifier needs a class for each image: convert a folder with one folder a"
        remedy += " class" if not split.has_boxes else " class, or train a detector (--model)"
        raise UsageError(f"{split.path} has {what}", remedy)


def _refuse_one_class(train: Split) -> None:
    present = np.unique(train.labels[train.valid])
    if len(present) < 2:
        only = train.attributes.class_names[present[0]]
        raise UsageError(
            f"all images of {train.path} are of one class, {only!r}: nothing to tell apart",
            "convert images of two classes or more, each class in a folder of its own",
        )


def _inputs(request: TrainingRequest, train: Split, begun: ModelConfig | None) -> ClassifierInput:
    grid = chosen_grid(request)
    check_grid(request.model, grid)
    check_ramp(request, grid)
    used, read = chosen_channels(request, train, read_all=False)
    check_early_read(request, train, used, read)
    if used is not None:
        if begun is not None and isinstance(begun.inputs, ClassifierInput):
            as_begun = begun.inputs
            if as_begun.fits(train, used, read, grid):
                return as_begun
        recipe = request.recipe
        assert isinstance(recipe.policy, Policy)
        last = recipe.training_grid(recipe.epochs, grid)
        inputs = ClassifierInput.frequency(train, used, read, last, recipe.policy)
        return normalised_as(inputs.sized(train, grid * BLOCK), parent_config(request.init))
    side = grid * (BLOCK if request.patches else STEM_STRIDE[request.model])
    return ClassifierInput.rgb(train, read, side)


def _detail(plan: RunPlan) -> str:
    """Return a remark if the network's input is larger than the stored images."""
    side = plan.config.classifier_inputs.side
    short = plan.train.sizes[plan.train.valid].min(axis=1)
    enlarged = float(np.mean(short < side))
    if enlarged <= _MANY:
        return ""
    return (
        f"{enlarged:.0%} of the images are enlarged for a crop of {side} pixels: their"
        f" short side is stored with {int(np.median(short))} in the median (a larger --size when"
        " converting, or a smaller --grid, if the files have more)"
    )


def _check_batches(
    request: TrainingRequest, inputs: ClassifierInput, train: Split, processes: int
) -> None:
    """Refuse what would only fail at some step: parts of one image, crops that do not fit."""
    recipe = request.recipe
    smallest = recipe.batch_size // processes // recipe.accumulate
    if smallest < _LEAST_IMAGES:
        raise UsageError(
            f"a batch of {recipe.batch_size} over {plural(processes, 'process')} in"
            f" {recipe.accumulate}"
            f" parts leaves {plural(smallest, 'image')} for a step, and batch norm needs"
            f" {_LEAST_IMAGES}",
            "use a larger --batch-size, or fewer parts",
        )
    if isinstance(recipe.policy, Policy) and recipe.policy.aligned:
        sizes, grid = train.sizes[train.valid], chosen_grid(request)
        grids = {recipe.training_grid(epoch, grid) for epoch in range(recipe.epochs)}
        for one in sorted({*grids, grid}):
            aligned_crop(sizes, one * (inputs.side // grid), np.zeros((len(sizes), 2)))
