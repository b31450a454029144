"""Evaluate a trained RGB network on images from some of their channels.

Its input is the inverse transform of the chosen channels, the valid pixels, the short side
resized to 256, the central 224 x 224, RGB, clipped (``network_view``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from freqprep.errors import UsageError, some
from freqprep.importance.network_view import Viewed, Views
from freqprep.progress import Progress
from freqprep.sources.imagenet_labels import class_names
from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.store.rows import Rows
from freqprep.store.selections import select
from freqprep.store.split import Split
from freqprep.text.quantities import plural

if TYPE_CHECKING:
    import torch

BATCH = 25
"""Largest batch of images."""

_COEFFICIENT_BYTES = 2**28


class Network(Protocol):
    """Protocol of a network; `freqprep.models.rgb.RGBNetwork` is one."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    def logits(self, rgb: torch.Tensor, /) -> torch.Tensor:
        """Map float32 (n, 3, 224, 224) in 0..255 to logits, (n, classes)."""


@dataclass(frozen=True)
class NetworkSample:
    """Images to evaluate a network on.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the split, ascending.
    targets : ndarray of int64, shape (n,)
        Labels, as indices of the network's classes.
    """

    rows: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def gather(
        cls,
        split: Split,
        network: Network,
        rows: Rows | None = None,
        images: int = 200,
        seed: int = 0,
    ) -> NetworkSample:
        """Draw a random sample of valid rows with labels, the same for the same seed.

        Parameters
        ----------
        split : Split
        network : Network
            Of 1000 classes it is a network of ImageNet's, sorted by wnid, to which the classes
            of the split are mapped; otherwise its classes are those of the split.
        rows : int, list, range, slice or array, optional
            Sample from these rows only.
        images : int
            Size of the sample, at most.
        seed : int

        Returns
        -------
        NetworkSample

        Raises
        ------
        UsageError
            The split has no labels, no valid rows, or classes that the network does not know.
        """
        if images < 1:
            raise UsageError(f"a sample must have at least 1 image, got {images}")
        if not split.attributes.class_ids or not (split.labels >= 0).any():
            raise UsageError(
                f"{split.path} has no labels to evaluate a network with",
                "use a split of labelled images",
            )
        classes = _class_map(split, network)
        candidates = np.arange(len(split))
        if rows is not None:
            candidates = np.unique(candidates[rows])
        usable = candidates[split.valid[candidates] & (split.labels[candidates] >= 0)]
        if not usable.size:
            raise UsageError(
                f"none of the {plural(candidates.size, 'row')} asked for of {split.path} is a"
                " valid image"
                " with a label",
                "use other rows, or convert the images again",
            )
        order = np.random.RandomState(seed).permutation(len(usable))
        chosen = np.sort(usable[order[:images]])
        return cls(chosen, classes[split.labels[chosen]])


@dataclass(frozen=True)
class Outcomes:
    """Losses and hits of a network for each of several selections.

    Attributes
    ----------
    selections : tuple of Selection or Allocation
    cross_entropy : ndarray of float64, shape (selections, images)
        Cross-entropy of each image, nats.
    correct : ndarray of bool, shape (selections, images)
        Whether the label has the highest logit.
    """

    selections: tuple[Viewed, ...]
    cross_entropy: np.ndarray
    correct: np.ndarray

    @property
    def loss(self) -> np.ndarray:
        """Mean cross-entropy of each selection, float64 of shape (selections,)."""
        loss: np.ndarray = self.cross_entropy.mean(axis=1)
        return loss

    @property
    def accuracy(self) -> np.ndarray:
        """Top-1 accuracy of each selection, float64 of shape (selections,), 0..1."""
        accuracy: np.ndarray = self.correct.mean(axis=1)
        return accuracy


@dataclass(frozen=True)
class Removal:
    """Change of a network's loss and accuracy when one of all channels stored is removed.

    Attributes
    ----------
    loss, accuracy : float
        Mean cross-entropy in nats, and top-1 accuracy, with all channels.
    loss_change : ndarray of float64, shape (192,)
        Mean cross-entropy without the channel, less ``loss``; raster order, 0 if not stored.
    loss_error : ndarray of float64, shape (192,)
        Standard error of that mean over the images; NaN for one image.
    accuracy_change : ndarray of float64, shape (192,)
        Top-1 accuracy without the channel, less ``accuracy``.
    """

    loss: float
    accuracy: float
    loss_change: np.ndarray
    loss_error: np.ndarray
    accuracy_change: np.ndarray


@dataclass(frozen=True)
class ForwardSelection:
    """Channels in the order in which forward selection added them.

    Attributes
    ----------
    start : tuple of int
        Raster indices chosen beforehand.
    order : tuple of int
        Raster indices added, first to last.
    losses : tuple of float
        Mean cross-entropy after each addition, nats.
    accuracies : tuple of float
        Top-1 accuracy after each addition.
    """

    start: tuple[int, ...]
    order: tuple[int, ...]
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]


def evaluate_selections(
    split: Split, network: Network, sample: NetworkSample, selections: Sequence[Viewed]
) -> Outcomes:
    """Evaluate a network on a sample with each selection or allocation, in one pass.

    Memory stays below 1 GB besides the network's own.
    """
    with Progress("network", len(sample) * len(selections), unit="evaluation") as progress:
        return _evaluate(split, network, sample, selections, progress.update)


def measure_removal(split: Split, network: Network, sample: NetworkSample) -> Removal:
    """Evaluate a network with all channels stored, and without each one: 193 evaluations of 192."""
    everything = select(None, split).indices
    without = [everything[:i] + everything[i + 1 :] for i in range(len(everything))]
    outcomes = evaluate_selections(
        split, network, sample, [Selection(s) for s in (everything, *without)]
    )
    change = outcomes.cross_entropy[1:] - outcomes.cross_entropy[0]
    error = np.full(len(change), np.nan)
    if len(sample) > 1:
        error = change.std(axis=1, ddof=1) / np.sqrt(len(sample))
    by_channel = np.zeros((3, CHANNELS))
    accuracy = outcomes.accuracy[1:] - outcomes.accuracy[0]
    by_channel[:, list(everything)] = change.mean(axis=1), error, accuracy
    return Removal(float(outcomes.loss[0]), float(outcomes.accuracy[0]), *by_channel)


def forward_selection(
    split: Split,
    network: Network,
    sample: NetworkSample,
    count: int,
    *,
    allowed: Iterable[int] | None = None,
    channel_bytes: np.ndarray | None = None,
    byte_limit: float | None = None,
    start: Sequence[int] = (),
) -> ForwardSelection:
    """Add channels one at a time, each time the one that gives the lowest cross-entropy.

    Only corners are tried: channels whose neighbours of one lower frequency, vertical and
    horizontal, are chosen already (or not allowed), so that each component's channels keep the
    shape of a staircase and a step costs about ten evaluations.

    Parameters
    ----------
    split : Split
    network : Network
    sample : NetworkSample
    count : int
        Number of channels to add; fewer if no more are allowed or fit.
    allowed : iterable of int, optional
        Raster indices that may be added; all that are stored by default.
    channel_bytes : ndarray, shape (192,), optional
        Bytes of each channel, raster order.
    byte_limit : float, optional
        Bytes that ``start`` and the added channels may take together; needs ``channel_bytes``.
    start : sequence of int
        Raster indices chosen beforehand.

    Returns
    -------
    ForwardSelection

    Raises
    ------
    UsageError
        Only one of ``channel_bytes`` and ``byte_limit`` is given.
    """
    if (channel_bytes is None) != (byte_limit is None):
        raise UsageError("channel_bytes and byte_limit must be given together")
    cost = np.zeros(CHANNELS) if channel_bytes is None else np.asarray(channel_bytes, np.float64)
    limit = np.inf if byte_limit is None else byte_limit
    may = set(split.attributes.channels if allowed is None else allowed)
    chosen = list(start)
    losses: list[float] = []
    accuracies: list[float] = []
    with Progress("forward selection", count, unit="channel") as progress:
        while len(losses) < count:
            room = limit - cost[chosen].sum()
            candidates = [k for k in _corners(set(chosen), may) if cost[k] <= room]
            if not candidates:
                break
            tried = [Selection((*chosen, k)) for k in candidates]
            outcomes = _evaluate(split, network, sample, tried, lambda _: None)
            best = int(np.argmin(outcomes.loss))
            chosen.append(candidates[best])
            losses.append(float(outcomes.loss[best]))
            accuracies.append(float(outcomes.accuracy[best]))
            progress.update(1)
    added = tuple(chosen[len(start) :])
    return ForwardSelection(tuple(start), added, tuple(losses), tuple(accuracies))


def _class_map(split: Split, network: Network) -> np.ndarray:
    """Index of the network's class for each class of the split, int64."""
    ids = [str(name) for name in split.attributes.class_ids]
    known = {wnid: index for index, wnid in enumerate(class_names())}
    missing = [name for name in ids if name not in known]
    if network.classes == len(known) and not missing:
        return np.array([known[name] for name in ids], np.int64)
    if network.classes == len(ids):
        return np.arange(len(ids))
    if network.classes != len(known):
        raise UsageError(
            f"the network has {plural(network.classes, 'class')} and {split.path} {len(ids)},"
            " so they cannot be matched",
            "use a network of the split's classes, or one of ImageNet's 1000",
        )
    raise UsageError(
        f"the network knows ImageNet's classes, and {split.path} has others: {some(missing)}",
        "use a network of the split's classes, or a split whose class ids are wnids",
    )


def _corners(chosen: set[int], may: set[int]) -> list[int]:
    """Channels that may be added and keep the staircase."""

    def ready(k: int) -> bool:
        v, h = divmod(k % FREQUENCIES, BLOCK)
        lower = [k - BLOCK] * (v > 0) + [k - 1] * (h > 0)
        return all(n in chosen or n not in may for n in lower)

    return [k for k in sorted(may - chosen) if ready(k)]


def _evaluate(
    split: Split,
    network: Network,
    sample: NetworkSample,
    selections: Sequence[Viewed],
    done: Callable[[int], None],
) -> Outcomes:
    import torch

    cross_entropy = np.empty((len(selections), len(sample)))
    correct = np.empty(cross_entropy.shape, bool)
    image_bytes = 4 * CHANNELS * int(np.prod(split.attributes.encoding.geometry.grid))
    batch = max(1, min(BATCH, _COEFFICIENT_BYTES // image_bytes))
    with torch.inference_mode():
        for first in range(0, len(sample), batch):
            part = slice(first, first + batch)
            targets = torch.from_numpy(sample.targets[part])
            views = Views(split, sample.rows[part], selections)
            for number, selection in enumerate(selections):
                logits = network.logits(torch.from_numpy(views.rgb(selection))).double()
                loss = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
                cross_entropy[number, part] = loss.numpy()
                correct[number, part] = (logits.argmax(1) == targets).numpy()
                done(len(targets))
    return Outcomes(tuple(selections), cross_entropy, correct)
