"""Bytes of stores against their source files, by precision."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.pack import PackRequest, pack
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, channels
from freqprep.spectrum.fidelity import psnr
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from tests.benchmarks.precisions.tables import OFFERED
from tests.benchmarks.table import show

_READ = ("square-24", "paper-48", "paper-64")
_LEVEL = 17


@dataclass(frozen=True)
class Source:
    """A data set, how it is converted, and which channels of which stores are packed."""

    kind: str
    folder: str
    options: dict[str, object] = field(default_factory=dict)
    packed: tuple[tuple[str, str], ...] = (("compact", "all"),)


SOURCES = {
    "ImageNet": Source("imagenet", "imagenet", packed=(("compact", "all"), ("coarse", "paper-48"))),
    "ImageNet within 512": Source("imagenet", "imagenet-within-512", packed=()),
    "imagenette val": Source("imagenet", "imagenette", {"size": 224, "split": "val"}),
    "flowers17": Source("imagefolder", "flowers17"),
    "COCO": Source("coco", "coco"),
}


def measure(data: Path, folder: Path) -> list[Sequence[object]]:
    """Convert and pack each data set; print bytes over those of the source files.

    Every file of a store counts. Channels read are chunks and indexes of shards.
    """
    small = _within_512(data / "imagenet", folder / "imagenet-within-512")
    rows: list[Sequence[object]] = []
    for name, source in SOURCES.items():
        path = small if source.folder == small.name else data / source.folder
        options: dict[str, Any] = dict(source.options)
        for precision in OFFERED:
            store = folder / f"{source.folder}-{precision}.zarr"
            table = PRECISIONS[precision]
            convert(Request(source.kind, path, store, precision=table, resume=True, **options))
            rows.append((name, precision, "all", 1, *_row(store)))
            for kept in (kept for packed, kept in source.packed if packed == precision):
                target = folder / f"{source.folder}-{precision}-{kept}-{_LEVEL}.zarr"
                selection = None if kept == "all" else kept
                pack(PackRequest(store, target, _LEVEL, selection, resume=True))
                rows.append((name, precision, kept, _LEVEL, *_row(target)))
    heads = ("images", "precision", "stored", "zstd level", "number", "x source")
    reads = tuple(f"{name} read" for name in _READ)
    show((*heads, *reads, "luma pooled dB", "worst dB", "clipped", "share"), rows)
    return rows


def _row(store: Path) -> tuple[object, ...]:
    splits = list(open_store(store).values())
    source = sum(int(split.array("source_bytes")[split.valid].sum()) for split in splits)
    files = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    reads = (_share(splits, name, source) for name in _READ)
    errors, pixels = (np.concatenate(parts) for parts in zip(*map(_errors, splits), strict=True))
    clipped = sum(int(split.array("saturated").sum()) for split in splits)
    return (
        sum(int(split.valid.sum()) for split in splits),
        files / source,
        *reads,
        float(psnr(errors.sum(), pixels.sum())),
        float(psnr(errors, pixels).min()),
        clipped,
        f"{clipped / (int(pixels.sum()) // FREQUENCIES * CHANNELS):.1e}",
    )


def _share(splits: Sequence[Split], name: str, source: int) -> float | str:
    indices = channels(name).indices
    if not all(set(indices) <= set(split.attributes.channels) for split in splits):
        return "-"
    return sum(bytes_read(split, indices) for split in splits) / source


def _errors(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Squared error of luma, and luma samples, of each valid image."""
    return split.array("luma_squared_error")[split.valid], split.blocks[split.valid] * FREQUENCIES


def _within_512(source: Path, target: Path) -> Path:
    for file in sorted(source.rglob("*.JPEG")):
        with Image.open(file) as image:
            if max(image.size) <= 512:
                copy = target / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
    return target
