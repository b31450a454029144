"""Evaluate a classifier on a split: exact counts, the same bits on any number of processes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from freqprep.augment import ClassifierInput, Preprocess
from freqprep.augment.input_spec import InputSpec
from freqprep.errors import CorruptStoreError
from freqprep.progress import Progress
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.streaming.loader import Loader
from freqprep.text.quantities import plural
from freqprep.training.distributed import World, without_benchmark

_TOP = 5


@dataclass(frozen=True, eq=False)
class ImagePredictions:
    """The most probable classes of each valid image, in the order of the rows.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
    classes : ndarray of int64, shape (n, top)
        Indices of the network's classes, the most probable first; equal logits in order. -1 where
        a logit is NaN.
    probabilities : ndarray of float64, shape (n, top)
        NaN where a logit is NaN or infinite.
    """

    rows: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """Results of a classifier on the valid images of a split.

    An image whose class the network lacks, or that has no label, counts as wrong; so does one
    with a logit that is NaN.

    Attributes
    ----------
    images, rejected : int
        Valid images, all of which were shown, and rows whose image was rejected at conversion.
    answerable : int
        Valid images whose class the network has.
    loss : float
        Mean cross-entropy in nats over the answerable images; NaN where there are none.
    top1, top5 : int
        Images whose class comes first, or among the first five (all, where there are fewer
        classes). Equal logits are in order.
    class_correct, class_images : ndarray of int64, shape (classes of the split,)
        Top-1 and images of each class; images without a label are in no class.
    per_image : ImagePredictions or None
        Predictions for each image, where requested.
    """

    images: int
    rejected: int
    answerable: int
    loss: float
    top1: int
    top5: int
    class_correct: np.ndarray
    class_images: np.ndarray
    per_image: ImagePredictions | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data: counts, and shares, which are null where there are no images.

        ``strict_top1`` is over all rows, the rejected ones wrong.
        """
        return {
            "images": self.images,
            "rejected": self.rejected,
            "answerable": self.answerable,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "top1": share(self.top1, self.images),
            "top5": share(self.top5, self.images),
            "strict_top1": share(self.top1, self.images + self.rejected),
            "top1_correct": self.top1,
            "top5_correct": self.top5,
            "class_correct": self.class_correct.tolist(),
            "class_images": self.class_images.tolist(),
        }


def share(count: int, total: int) -> float | None:
    """Return ``count / total``; None if the total is 0."""
    return count / total if total else None


def evaluate_classifier(
    network: torch.nn.Module,
    inputs: ClassifierInput,
    split: Split,
    class_map: np.ndarray,
    world: World,
    *,
    batch_size: int,
    threads: int | None,
    top: int = 0,
) -> Evaluation:
    """Evaluate a classifier on every valid image of a split.

    Whole batches are dealt to the processes, counts are whole numbers, and the losses are added
    in the order of the batches: with the same device and number of compute threads, any number of
    processes gives the same result to the bit.

    Parameters
    ----------
    network : torch.nn.Module
        Not wrapped, on ``world.device``; put into evaluation mode and back.
    inputs : ClassifierInput
    split : Split
    class_map : ndarray of int64, shape (classes of the split,)
        The network's class for each label; -1 where it has none.
    world : World
    batch_size : int
        Number of images shown at once.
    threads : int or None
        Threads that read and decode; None as in `Loader`.
    top : int
        Number of most probable classes to keep of each image; 0 keeps none.

    Returns
    -------
    Evaluation
        The same in every process.

    Raises
    ------
    CorruptStoreError
        A label is beyond the split's classes.
    """
    valid = int(split.valid.sum())
    if len(split) and split.labels.max() >= len(class_map):
        raise CorruptStoreError(
            f"{split.path} has the label {split.labels.max()} and only"
            f" {plural(len(class_map), 'class')}",
            "convert again with --overwrite",
        )
    tally = _Tally(-(-valid // batch_size), class_map, world.device)
    kept = _Predictions(top) if top else None
    shown = preprocessed_batches(split, inputs, world, batch_size=batch_size, threads=threads)
    with (
        eval_mode(network),
        Progress("evaluating", valid) if world.is_leader else contextlib.nullcontext() as progress,
    ):
        for batch, images in shown:
            with without_benchmark(len(batch) < batch_size):  # the last batch: a shape met once
                logits = compute_logits(network, images)
            tally.add(batch.step, logits, batch.labels)
            if kept is not None:
                kept.add(batch.rows, logits)
            if progress is not None:  # the other processes are about as far
                begun = batch.step * batch_size
                progress.update(min(world.size * batch_size, valid - begun))
    found = tally.over_all(world, len(split) - valid)
    return found if kept is None else replace(found, per_image=kept.over_all(world))


def compute_logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Compute a classifier's logits; in bfloat16 on a GPU, as in training.

    Parameters
    ----------
    network : torch.nn.Module
    images : Tensor of float32, shape (n, *inputs.shape)
        Normalised.

    Returns
    -------
    Tensor of float32, shape (n, classes)
    """
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16, images.device.type == "cuda"):
        logits: torch.Tensor = network(images)
    return logits.float()


def preprocessed_batches(
    split: Split, inputs: ClassifierInput, world: World, *, batch_size: int, threads: int | None
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Iterate over every valid image of a split, preprocessed for evaluation.

    Parameters
    ----------
    split : Split
    inputs : ClassifierInput
    world : World
    batch_size : int
        Whole batches are dealt to the processes.
    threads : int or None
        Threads that read and decode; None as in `Loader`.

    Yields
    ------
    Batch, Tensor of float32, shape (n, *inputs.shape)
        On ``world.device``; valid until the next.
    """
    with sequential_loader(split, inputs, world, batch_size=batch_size, threads=threads) as loader:
        preprocess = Preprocess(inputs.on(split), split.attributes.encoding)
        for batch in loader:
            yield batch, preprocess(batch)


def sequential_loader(
    split: Split, inputs: InputSpec, world: World, *, batch_size: int, threads: int | None
) -> Loader:
    """Make a loader of every valid image in order; whole batches are dealt to the processes."""
    return Loader(
        split,
        list(inputs.read),
        batch_size=batch_size,
        shuffle=False,
        rank=world.rank,
        world_size=world.size,
        threads=threads,
        device=world.device,
        reuse=True,
    )


@contextlib.contextmanager
def eval_mode(network: torch.nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without gradients, and back afterwards."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(training)


class _Tally:
    """Counts and losses of the batches that this process was dealt.

    They stay on the device until all batches are counted: nothing waits for it before.
    """

    def __init__(self, batches: int, class_map: np.ndarray, device: torch.device) -> None:
        self._class_map = torch.from_numpy(np.append(class_map, -1)).to(device)  # [-1]: no label
        self._totals = torch.zeros(4, dtype=torch.int64, device=device)
        self._classes = torch.zeros(2, len(class_map) + 1, dtype=torch.int64, device=device)
        self._losses = torch.zeros(batches, dtype=torch.float64, device=device)

    def add(self, number: int, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Count one batch: float32 (n, classes of the network), int64 (n,)."""
        targets = self._class_map[labels]
        answerable = targets >= 0
        targets = targets.clamp(min=0)
        rank = rank_of_target(logits, targets)
        first, among = answerable & (rank == 0), answerable & (rank < _TOP)
        seen = torch.ones_like(answerable)
        self._totals += torch.stack([seen.sum(), answerable.sum(), first.sum(), among.sum()])
        slots = len(self._class_map)
        labels = labels % slots  # no label: the last slot
        self._classes[0].index_add_(0, labels, first.long())
        self._classes[1].index_add_(0, labels, seen.long())
        loss = torch.nn.functional.cross_entropy(logits.double(), targets, reduction="none")
        self._losses[number] = loss.masked_fill(~answerable, 0).sum()

    def over_all(self, world: World, rejected: int) -> Evaluation:
        """Add up the counts of all processes."""
        images, answerable, top1, top5 = world.sum(self._totals.cpu()).tolist()
        correct, counts = world.sum(self._classes.cpu()).numpy()[:, :-1]
        losses = world.sum(self._losses.cpu()).tolist()
        loss = math.fsum(losses) / answerable if answerable else math.nan
        return Evaluation(images, rejected, answerable, loss, top1, top5, correct, counts)


class _Predictions:
    """The most probable classes of the images that this process was dealt."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._rows: list[np.ndarray] = []
        self._found: list[tuple[torch.Tensor, torch.Tensor]] = []  # on the device until the end

    def add(self, rows: np.ndarray, logits: torch.Tensor) -> None:
        """Keep those of one batch: int64 (n,), float32 (n, classes of the network)."""
        classes = logits.sort(dim=1, descending=True, stable=True).indices[:, : self._top]
        chances = logits.double().softmax(1).gather(1, classes)
        broken = logits.isnan().any(1, keepdim=True)
        self._rows.append(np.array(rows))
        self._found.append((classes.masked_fill(broken, -1), chances.masked_fill(broken, math.nan)))

    def over_all(self, world: World) -> ImagePredictions:
        """Collect those of all processes, in the order of the rows."""
        mine = []
        if self._rows:
            found = (torch.cat(tensors).cpu().numpy() for tensors in zip(*self._found, strict=True))
            mine = [(np.concatenate(self._rows), *found)]
        parts = [part for parts in world.gather(mine) for part in parts]
        rows, classes, chances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        return ImagePredictions(rows[order], classes[order], chances[order])


def rank_of_target(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Count the classes that come before the right one; equal logits are in order.

    Parameters
    ----------
    logits : Tensor, shape (n, classes)
    targets : Tensor of int64, shape (n,)
        The right class of each row.

    Returns
    -------
    Tensor of int64, shape (n,)
        From 0; beyond all ranks that count where a logit is NaN.
    """
    own = logits.gather(1, targets[:, None])
    earlier = torch.arange(logits.shape[1], device=logits.device) < targets[:, None]
    ahead = ((logits > own) | ((logits == own) & earlier)).sum(1)
    return ahead.masked_fill(logits.isnan().any(1), max(logits.shape[1], _TOP))
