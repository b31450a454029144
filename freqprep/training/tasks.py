"""Kinds of network that can be trained: the one place where a model's name decides its kind."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch

from freqprep.augment import ClassifierInput, DetectorInput
from freqprep.models.detection import DETECTORS
from freqprep.models.initial import Loaded
from freqprep.models.networks import MODELS
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.training.classifier_task import ClassifierTask
from freqprep.training.curves import Panel
from freqprep.training.detector_task import DetectorTask
from freqprep.training.distributed import World
from freqprep.training.model_config import ModelConfig
from freqprep.training.request import RunPlan, TrainingRequest


class TrainingTask(Protocol):
    """The part of a run that depends on the kind of its network.

    Parameters
    ----------
    request : TrainingRequest
    plan : RunPlan

    Attributes
    ----------
    kind : {"classifier", "detector"}
    curve_panels : tuple of Panel
        Measurements to draw by epoch.
    varied_shapes : bool
        Whether shapes of inputs differ from batch to batch: images of similar aspect are then
        batched together.
    arithmetic_unit : str
        What `arithmetic` is counted for.
    """

    kind: ClassVar[str]
    curve_panels: ClassVar[tuple[Panel, ...]]
    varied_shapes: ClassVar[bool]
    arithmetic_unit: ClassVar[str]

    def __init__(self, request: TrainingRequest, plan: RunPlan) -> None: ...

    @staticmethod
    def prepare(
        request: TrainingRequest,
        train: Split,
        val: Split | None,
        processes: int,
        begun: ModelConfig | None,
    ) -> ClassifierInput | DetectorInput:
        """Check that the request can be trained, and return the network's input.

        Parameters
        ----------
        request : TrainingRequest
        train : Split
        val : Split or None
        processes : int
            Number of processes that share the work.
        begun : ModelConfig or None
            Config of the run to resume.

        Raises
        ------
        UsageError
            The request cannot be trained.
        """

    @staticmethod
    def recipe_fields(request: TrainingRequest, train: Split) -> dict[str, Any]:
        """Return what a config's recipe has for this kind only, as JSON data."""

    @staticmethod
    def freezes_norms(request: TrainingRequest) -> bool:
        """Whether the backbone's norms keep the statistics they begin with."""

    @staticmethod
    def notes(plan: RunPlan) -> list[str]:
        """Return remarks to print before training."""

    def inputs_at(self, epoch: int) -> ClassifierInput | DetectorInput:
        """Describe the input that an epoch trains with: its channels read, and its size."""

    def grid_at(self, epoch: int) -> int:
        """Return the grid that an epoch trains with; of a detector, the short side's."""

    def augment(self, batch: Batch) -> Any:
        """Turn a batch into the network's input; the loader calls it, `loss` takes the result."""

    def loss(
        self, model: Any, batch: Batch, key: tuple[int, int, int]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of a batch.

        Parameters
        ----------
        model : callable
            The network in training mode, compiled or distributed where requested.
        batch : Batch
            Or a part of one, with its ``inputs``.
        key : tuple of int
            Seed, epoch and step: random choices for a batch as a whole are functions of them.

        Returns
        -------
        Tensor
            Mean loss over the images, to be minimised.
        dict of str to Tensor
            Means over the images to report, without gradients; ``loss`` is among them.
        """

    def validate(
        self, network: torch.nn.Module, split: Split, world: World
    ) -> tuple[dict[str, Any], dict[str, float | None], str]:
        """Evaluate a network; return all results, the numbers to plot, and a line to print."""

    def arithmetic(self, network: torch.nn.Module) -> int:
        """Count the multiply-accumulates of one image."""

    def input_size(self) -> str:
        """Describe the size of the network's input."""

    def brief(self, values: dict[str, float]) -> tuple[str, ...]:
        """Format the numbers of `loss` in a few words each, the most important first."""

    def complete_weights(
        self, network: torch.nn.Module, given: Loaded, device: torch.device
    ) -> str:
        """Adapt a network to the weights it was given.

        Parameters
        ----------
        network : torch.nn.Module
            On ``device``.
        given : Loaded
            What a file gave; the other tensors have random values.
        device : torch.device

        Returns
        -------
        str
            Remark to print; may be empty.

        Raises
        ------
        UsageError
            The network cannot be trained from these weights.
        """


TASKS: dict[str, type[TrainingTask]] = {
    **dict.fromkeys(MODELS, ClassifierTask),
    **dict.fromkeys(DETECTORS, DetectorTask),
}
"""Model name -> class of its task: all models that can be trained."""
