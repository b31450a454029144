"""What a trained RGB network loses with the channels it does not get.

The network sees each image as its chosen channels give it: their inverse transform, the valid
pixels, the short side resized to 256, the central 224 x 224, RGB, clipped (``network_view``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from freqprep.errors import UsageError, some
from freqprep.importance.network_view import Views
from freqprep.progress import Progress
from freqprep.sources.imagenet_labels import class_names
from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, Selection, channels
from freqprep.store.split import Rows, Split

if TYPE_CHECKING:
    import torch

BATCH = 25
"""Images shown to the network at once."""

_COEFFICIENT_BYTES = 2**28


class Network(Protocol):
    """What is asked of a network; `freqprep.models.rgb.RGBNetwork` is one."""

    @property
    def classes(self) -> int:
        """Length of its answers."""

    def logits(self, rgb: torch.Tensor, /) -> torch.Tensor:
        """Float32 (n, 3, 224, 224) in 0..255 -> (n, classes)."""


@dataclass(frozen=True)
class NetworkSample:
    """Images that a network is asked about.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the split, rising.
    targets : ndarray of int64, shape (n,)
        The right answers: indices into the network's classes.
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
        """A random sample of valid rows with labels; the same for the same seed.

        Parameters
        ----------
        split : Split
        network : Network
            With 1000 classes they are ImageNet's, in the order of their wnids, and the split's
            are found among them; otherwise it has those of the split.
        rows : int, list, range, slice or array, optional
            Sample from these rows only.
        images : int
            At most so many.
        seed : int

        Raises
        ------
        UsageError
            No labels, no valid rows, or classes that the network does not know.
        """
        if images < 1:
            raise UsageError(f"a sample of {images} images", "ask for at least one")
        if not split.attributes.class_ids or not (split.labels >= 0).any():
            raise UsageError(
                f"{split.path} has no labels, without which a network's answers say nothing",
                "use a split of labelled images",
            )
        classes = _class_map(split, network)
        candidates = np.arange(len(split))
        if rows is not None:
            candidates = np.unique(candidates[rows])
        usable = candidates[split.valid[candidates] & (split.labels[candidates] >= 0)]
        if not usable.size:
            raise UsageError(
                f"none of the {candidates.size} rows asked for of {split.path} is a valid image"
                " with a label",
                "use other rows, or convert the images again",
            )
        order = np.random.RandomState(seed).permutation(len(usable))
        chosen = np.sort(usable[order[:images]])
        return cls(chosen, classes[split.labels[chosen]])


@dataclass(frozen=True)
class Outcomes:
    """How a network did with each of several selections.

    Attributes
    ----------
    selections : tuple of Selection
    cross_entropy : ndarray of float64, shape (selections, images)
        In nats.
    correct : ndarray of bool, shape (selections, images)
        The right class has the highest answer.
    """

    selections: tuple[Selection, ...]
    cross_entropy: np.ndarray
    correct: np.ndarray

    @property
    def loss(self) -> np.ndarray:
        """Mean cross-entropy of each selection, float64, shape (selections,)."""
        return self.cross_entropy.mean(axis=1)

    @property
    def accuracy(self) -> np.ndarray:
        """Share of right answers of each selection, float64 in 0..1, shape (selections,)."""
        return self.correct.mean(axis=1)


@dataclass(frozen=True)
class Removal:
    """What a network loses when one channel is taken from all 192.

    Attributes
    ----------
    loss, accuracy : float
        With all channels: mean cross-entropy in nats, share of right answers.
    loss_change : ndarray of float64, shape (192,)
        Mean cross-entropy without the channel, less ``loss``; raster order.
    loss_error : ndarray of float64, shape (192,)
        Standard error of that mean over the images; NaN for one image.
    accuracy_change : ndarray of float64, shape (192,)
        Share of right answers without the channel, less ``accuracy``.
    """

    loss: float
    accuracy: float
    loss_change: np.ndarray
    loss_error: np.ndarray
    accuracy_change: np.ndarray


@dataclass(frozen=True)
class ForwardSelection:
    """Channels in the order in which a network gains most from them.

    Attributes
    ----------
    start : tuple of int
        Raster indices that were there before.
    order : tuple of int
        Raster indices added, first to last.
    losses : tuple of float
        Mean cross-entropy once each of ``order`` is there, in nats.
    accuracies : tuple of float
        Share of right answers, likewise.
    """

    start: tuple[int, ...]
    order: tuple[int, ...]
    losses: tuple[float, ...]
    accuracies: tuple[float, ...]


def evaluate_selections(
    split: Split, network: Network, sample: NetworkSample, selections: Sequence[Selection]
) -> Outcomes:
    """Cross-entropy and correctness of each image for each selection, in one pass.

    Memory stays below 1 GB besides the network's own.
    """
    with Progress("network", len(sample) * len(selections), unit="answer") as progress:
        return _evaluate(split, network, sample, selections, progress.update)


def measure_removal(split: Split, network: Network, sample: NetworkSample) -> Removal:
    """Take away each channel alone: 193 evaluations of the sample."""
    everything = channels("all").indices
    without = [everything[:i] + everything[i + 1 :] for i in everything]
    outcomes = evaluate_selections(
        split, network, sample, [Selection(s) for s in (everything, *without)]
    )
    change = outcomes.cross_entropy[1:] - outcomes.cross_entropy[0]
    error = np.full(CHANNELS, np.nan)
    if len(sample) > 1:
        error = change.std(axis=1, ddof=1) / np.sqrt(len(sample))
    return Removal(
        float(outcomes.loss[0]),
        float(outcomes.accuracy[0]),
        change.mean(axis=1),
        error,
        outcomes.accuracy[1:] - outcomes.accuracy[0],
    )


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
    """Add channels one at a time, each time the one with the least cross-entropy.

    Only corners are tried: channels whose neighbours of one lower frequency, vertical and
    horizontal, are chosen already (or not allowed), so that each component's channels keep the
    shape of a staircase and a step costs about ten evaluations.

    Parameters
    ----------
    split, network, sample
        As in `evaluate`.
    count : int
        Add so many; fewer where no more are allowed or fit.
    allowed : iterable of int, optional
        Raster indices that may be added; all by default.
    channel_bytes : ndarray, shape (192,), optional
        What each channel costs, raster order.
    byte_limit : float, optional
        Most that ``start`` and the added channels may cost together; needs ``channel_bytes``.
    start : sequence of int
        Raster indices chosen beforehand.
    """
    if (channel_bytes is None) != (byte_limit is None):
        raise UsageError("channel_bytes and byte_limit are given together, or neither")
    cost = np.zeros(CHANNELS) if channel_bytes is None else np.asarray(channel_bytes, np.float64)
    limit = np.inf if byte_limit is None else byte_limit
    may = set(range(CHANNELS) if allowed is None else allowed)
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
    """The network's class of each of the split's, int64."""
    ids = [str(name) for name in split.attributes.class_ids]
    known = {wnid: index for index, wnid in enumerate(class_names())}
    missing = [name for name in ids if name not in known]
    if network.classes == len(known) and not missing:
        return np.array([known[name] for name in ids], np.int64)
    if network.classes == len(ids):
        return np.arange(len(ids))
    if network.classes != len(known):
        raise UsageError(
            f"the network has {network.classes} classes and {split.path} {len(ids)}, so that"
            " nothing says which is which",
            "use a network of the split's classes, or one of ImageNet's 1000",
        )
    raise UsageError(
        f"the network knows ImageNet's classes, and {split.path} has others: {some(missing)}",
        "use a network of the split's classes, or a split whose class ids are wnids",
    )


def _corners(chosen: set[int], may: set[int]) -> list[int]:
    def ready(k: int) -> bool:
        v, h = divmod(k % FREQUENCIES, BLOCK)
        lower = [k - BLOCK] * (v > 0) + [k - 1] * (h > 0)
        return all(n in chosen or n not in may for n in lower)

    return [k for k in sorted(may - chosen) if ready(k)]


def _evaluate(
    split: Split,
    network: Network,
    sample: NetworkSample,
    selections: Sequence[Selection],
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
