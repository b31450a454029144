"""Channels and steps chosen together on one half of the images, judged on the other half.

Within the bytes of the published square-24 at int8. The proposal of each half is converted with
its steps from the images of the other half, and its channels are read from that store: bytes are
those of whole chunks, the loss is that of an ImageNet MobileNetV2 which never saw coefficients.
All 200 images of ImageNet are judged so, each by a proposal made without it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.importance.allocation import (
    Allocation,
    allocation_of,
    best_channels,
    best_steps,
    candidate_allocations,
)
from freqprep.importance.network_evaluation import evaluate_selections
from freqprep.importance.network_judge import NetworkJudge
from freqprep.importance.rate_distortion import Rates, measure_rates
from freqprep.spectrum.channels import Selection, published
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.reader import Split, open_store
from tests.benchmarks.table import show

_WEIGHTS = "weights/mobilenet_v2_imagenet_folded.npz"
_REFERENCE = published("square-24")
_COUNTS = (24, 48, 192)
_HEADS = (
    "chosen",
    "channels",
    "bytes / square-24's",
    "predicted",
    "PSNR predicted",
    "loss - square-24",
    "SE",
    "top-1 change",
)


@dataclass(frozen=True, eq=False)
class _Half:
    """Half of the images: their source, their stores, and what a proposal is made from.

    ``losses`` are those of square-24: cross-entropy and correctness of each image.
    """

    source: Path
    stores: dict[Precision, Split]
    judge: NetworkJudge
    rates: Rates
    losses: tuple[np.ndarray, np.ndarray]

    def converted(self, precision: Precision) -> Split:
        """Return the store of a precision, made once."""
        if precision not in self.stores:
            path = self.source.with_name(f"{self.source.name}-{len(self.stores)}.zarr")
            self.stores[precision] = _store(self.source, path, precision)
        return self.stores[precision]

    @property
    def limit(self) -> float:
        """Bytes an image of square-24."""
        found = allocation_of(self.rates, _REFERENCE, self.rates.precision)
        assert found is not None
        return found.bytes_per_image


@dataclass(frozen=True, eq=False)
class _Judged:
    """A proposal on the half that it was not made from, paired with square-24 by image."""

    channels: int
    bytes_ratio: float
    predicted_ratio: float
    predicted_psnr: float
    loss_change: np.ndarray
    correct_change: np.ndarray


def run(data: Path, folder: Path) -> dict[str, object]:
    halves = _halves(data, folder)
    return {"proposals": proposals(halves)}


def proposals(halves: Sequence[_Half]) -> list[Sequence[object]]:
    """Judge proposals of up to 24 to 192 channels, by predicted distortion and by the network."""
    ways: dict[str, Callable[[_Half], Allocation | None]] = {}
    for count in _COUNTS:
        ways[f"steps and up to {count} channels"] = lambda half, count=count: best_steps(
            half.rates, half.limit, count
        )
    for name, precision in PRECISIONS.items():
        ways[f"channels at {name}"] = lambda half, precision=precision: best_channels(
            half.rates, precision, half.limit, 192
        )
    ways["the network's choice, up to 48"] = lambda half: _by_network(half, 48)
    rows = []
    for name, way in ways.items():
        chosen = [way(half) for half in halves]
        if all(chosen):
            judged = [
                _judge(one, made_on, other)
                for one, made_on, other in zip(chosen, halves, halves[::-1], strict=True)
                if one is not None
            ]
            rows.append(_row(name, judged))
            print(rows[-1], file=sys.stderr)
    print("\nwithin square-24's bytes at int8; chosen on one half, judged on the other, both ways")
    show(_HEADS, rows)
    return rows


def _by_network(half: _Half, count: int) -> Allocation:
    """Choose the candidate of the lowest loss on the half itself."""
    found = candidate_allocations(half.rates, half.limit, count, fitted=True)
    losses = [result.loss for result in half.judge.evaluate(found)]
    return found[int(np.argmin(losses))]


def _judge(allocation: Allocation, made_on: _Half, half: _Half) -> _Judged:
    """Convert a half with the proposed steps, and compare its channels with square-24."""
    split = half.converted(allocation.precision)
    cost = _bytes(split)[list(allocation.selection.indices)].sum()
    found = _losses(split, half.judge, allocation.selection)
    return _Judged(
        len(allocation.selection),
        cost / half.limit,
        allocation.bytes_per_image / made_on.limit,
        allocation.psnr,
        found[0] - half.losses[0],
        found[1] * 1.0 - half.losses[1],
    )


def _bytes(split: Split) -> np.ndarray:
    """Bytes of each channel an image, all shards counted."""
    per_image: np.ndarray = ChannelBytes.of(split).totals / split.valid.sum()
    return per_image


def _losses(
    split: Split, judge: NetworkJudge, selection: Selection
) -> tuple[np.ndarray, np.ndarray]:
    outcomes = evaluate_selections(split, judge.network, judge.sample, [selection])
    return outcomes.cross_entropy[0], outcomes.correct[0]


def _row(name: str, judged: Sequence[_Judged]) -> Sequence[object]:
    change = np.concatenate([one.loss_change for one in judged])
    right = np.concatenate([one.correct_change for one in judged])
    return (
        name,
        " and ".join(str(one.channels) for one in judged),
        float(np.mean([one.bytes_ratio for one in judged])),
        float(np.mean([one.predicted_ratio for one in judged])),
        float(np.mean([one.predicted_psnr for one in judged])),
        float(change.mean()),
        float(change.std(ddof=1) / np.sqrt(len(change))),
        float(right.mean()),
    )


def _halves(data: Path, folder: Path) -> list[_Half]:
    """Deal the classes, of one image each, into two random halves; convert each at int8."""
    classes = sorted(path.name for path in (data / "imagenet/train").iterdir())
    order = np.random.RandomState(0).permutation(len(classes))
    found = []
    for number, part in enumerate(np.array_split(order, 2)):
        source = folder / f"half-{number}"
        _copy(data / "imagenet", source, [classes[index] for index in sorted(part.tolist())])
        split = _store(source, folder / f"half-{number}-0.zarr", PRECISIONS["int8"])
        judge = NetworkJudge.load(split, data / _WEIGHTS, len(split))
        rates = measure_rates(split, _bytes(split))
        losses = _losses(split, judge, _REFERENCE)
        found.append(_Half(source, {PRECISIONS["int8"]: split}, judge, rates, losses))
    return found


def _copy(source: Path, target: Path, classes: Iterable[str]) -> None:
    for name in classes:
        shutil.copytree(source / "train" / name, target / "train" / name, dirs_exist_ok=True)
    shutil.copy(source / "synset_words.tsv", target)


def _store(source: Path, store: Path, precision: Precision) -> Split:
    convert(Request("imagenet", source, store, size=512, precision=precision, overwrite=True))
    return open_store(store)["train"]
