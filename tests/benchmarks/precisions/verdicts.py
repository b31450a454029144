"""Cross-entropy of a trained network on images from stores of each precision.

The network is an ImageNet MobileNetV2 that never saw coefficients; rows are in the same order in
each store, so differences are paired by image. The pixels are all channels of an int16 store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum.channels import channels
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from tests.benchmarks.precisions.tables import FLAT_16, JUDGED, LOW_16
from tests.benchmarks.table import show
from tests.benchmarks.verdicts import Verdicts

_WEIGHTS = "weights/mobilenet_v2_imagenet_folded.npz"
_PIXELS = "pixels (int16)"
_EASY = 20
"""Images a class of imagenette."""

_HALVES = 200
_AIM = 0.04
"""Largest change of cross-entropy that ``compact`` was allowed, nats."""

_SUBSETS: tuple[tuple[str, str, Precision], ...] = (
    ("square-24", "int8", PRECISIONS["int8"]),
    ("paper-32", "16 to v + h = 2, then 8", LOW_16),
    ("paper-48", "flat 16", FLAT_16),
    ("paper-48", "coarse", PRECISIONS["coarse"]),
    ("paper-48", "compact", PRECISIONS["compact"]),
    ("paper-64", "compact", PRECISIONS["compact"]),
)
_HEADS = ("x JPEGs", "loss change", "SE", "top-1")


def measure(data: Path, folder: Path) -> dict[str, object]:
    """Judge all tables with all channels, on two data sets, and some with fewer channels."""
    stores = Stores(data, folder / "imagenet", data / "imagenet", {})
    fewer = _fewer_channels(stores)
    imagenet = _all_channels(stores, JUDGED, "ImageNet, 200 images")
    easy = _easy_images(data / "imagenette/val", folder / "easy-images")
    few = {"compact": JUDGED["compact"]}
    small = Stores(data, folder / "imagenette", easy, {"size": 224, "split": "val"})
    return {
        "all channels": imagenet,
        "halves": _halves(stores, JUDGED),
        "fewer channels": fewer,
        "imagenette": _all_channels(small, few, f"imagenette val, {_EASY} images a class"),
    }


class Stores:
    """Stores of one data set by precision, and the network's verdicts, kept in files.

    Parameters
    ----------
    data, folder, source : Path
        All data; folder of the stores; class folders to convert.
    options : mapping
        Further fields of the requests.
    """

    def __init__(self, data: Path, folder: Path, source: Path, options: Mapping[str, Any]) -> None:
        self._data, self._folder, self._source = data, folder, source
        self._options = options
        self._splits: dict[str, Split] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def split(self, precision: Precision) -> Split:
        """Return the split at this precision, converted on first use."""
        name = precision.name
        if name not in self._splits:
            store = self._folder / f"{name}.zarr"
            options = {**self._options, "precision": precision, "resume": True}
            convert(Request("imagenet", self._source, store, **options))
            (self._splits[name],) = open_store(store).values()
        return self._splits[name]

    def share(self, precision: Precision, selection: str = "all") -> float:
        """Return bytes read (chunks and indexes) over those of the source files."""
        split = self.split(precision)
        source = int(split.array("source_bytes")[split.valid].sum())
        return bytes_read(split, channels(selection).indices) / source

    def verdicts(self, precision: Precision, selection: str = "all") -> np.ndarray:
        """Return cross-entropy in nats and whether the answer is right, float64 (2, images)."""
        file = self._folder / f"{precision.name}-{selection}.npy"
        if not file.exists():
            judge = Verdicts(self.split(precision), self._data / _WEIGHTS)
            indices = channels(selection).indices
            np.save(file, np.stack([judge.loss(indices), judge.correct(indices)]))
        kept: np.ndarray = np.load(file)
        return kept

    def row(self, precision: Precision, selection: str, reference: np.ndarray) -> tuple[float, ...]:
        """Return bytes over the source's, mean and error of the paired change, and top-1."""
        loss, correct = self.verdicts(precision, selection)
        change = loss - reference
        error = float(change.std(ddof=1) / np.sqrt(len(change)))
        return self.share(precision, selection), float(change.mean()), error, float(correct.mean())


def _all_channels(
    stores: Stores, tables: Mapping[str, Precision], title: str
) -> list[Sequence[object]]:
    pixels = PRECISIONS["int16"]
    reference, _ = stores.verdicts(pixels)
    rows = [(name, *stores.row(table, "all", reference)) for name, table in tables.items()]
    rows.insert(0, (_PIXELS, *stores.row(pixels, "all", reference)))
    print(f"\n{title}: all 192 channels, against the pixels")
    show(("steps of luma / chroma", *_HEADS), rows)
    return [*rows]


def _fewer_channels(stores: Stores) -> list[Sequence[object]]:
    reference, _ = stores.verdicts(PRECISIONS["int8"], "square-24")
    rows = [(read, name, *stores.row(table, read, reference)) for read, name, table in _SUBSETS]
    print("\nImageNet, 200 images: against square-24 at int8")
    show(("read", "steps", *_HEADS), rows)
    return [*rows]


def _halves(stores: Stores, tables: Mapping[str, Precision]) -> list[Sequence[object]]:
    """Take the smallest table within the aim on half of the images; judge it on the other half."""
    pixels, _ = stores.verdicts(PRECISIONS["int16"])
    changes = {name: stores.verdicts(table)[0] - pixels for name, table in tables.items()}
    sizes = {name: stores.share(table) for name, table in tables.items()}
    random, images = np.random.RandomState(0), len(pixels)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in tables}
    for _ in range(_HALVES):
        order = random.permutation(images)
        inside, rest = order[: images // 2], order[images // 2 :]
        fitting = [name for name in tables if changes[name][inside].mean() <= _AIM]
        best = min(fitting, key=sizes.__getitem__)
        taken[best].append((changes[best][inside].mean(), changes[best][rest].mean()))
    rows = [
        (name, len(each), *map(float, np.mean(each, axis=0)))
        for name, each in taken.items()
        if each
    ]
    print(f"\nsmallest table within +{_AIM} on a random half, {_HALVES} halves")
    show(("table", "times taken", "loss change on this half", "on the other"), rows)
    return [*rows]


def _easy_images(source: Path, target: Path) -> Path:
    """Link some images of each class of a split."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        linked = target / "val" / folder.name
        linked.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir())[:_EASY]:
            (linked / file.name).write_bytes(file.read_bytes())
    return target
