"""Bytes and PSNR of real images, measured on pixels reconstructed by the reader."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum.dct import inverse
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from tests.benchmarks.table import show

_SETS = [("imagenet", "imagenet"), ("imagefolder", "flowers17"), ("coco", "coco")]
_IMAGES_A_SPLIT = 400


def run(data: Path, folder: Path) -> dict[str, object]:
    rows = []
    for precision in ("int8", "int16"):
        for kind, name in _SETS:
            store = folder / f"{name}-{precision}.zarr"
            summaries = convert(Request(kind, data / name, store, precision=PRECISIONS[precision]))
            for split_name, split in open_store(store).items():
                psnr, pooled = _luma_psnr(split, data / name)
                summary = summaries[split_name]
                rows.append(
                    (
                        f"{name} {split_name}",
                        precision,
                        len(psnr),
                        pooled,
                        float(min(psnr)),
                        sum(value < 45 for value in psnr),
                        summary.saturated_share,
                    )
                )
    show(("images", "codes", "measured", "pooled dB", "worst dB", "under 45 dB", "saturated"), rows)
    sizes = _sizes_within_512(data, folder)
    print(
        f"\nimagenet within 512 px ({sizes['images']} images): all 192 channels "
        f"{sizes['all']:.3f}x the JPEG bytes (aim 1.10), published 24 {sizes['24']:.3f}x (aim 0.36)"
    )
    return {"psnr": rows, "size": sizes}


def _luma_psnr(split: Split, source: Path) -> tuple[list[float], float]:
    """PSNR of luma against the decoded Y plane, over valid pixels: per image, and pooled."""
    each, errors, pixels = [], 0.0, 0
    for row in np.flatnonzero(split.valid)[:_IMAGES_A_SPLIT].tolist():
        image = Image.open(_find(source, split, row))
        if image.mode == "RGB":
            image.draft("YCbCr", None)
        height, width = split.sizes[row].tolist()
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        decoded = np.asarray(image if image.mode == "L" else image.getchannel(0), np.float64)
        luma = range(64)
        rebuilt = inverse(split.read([row], luma)[0])[:height, :width]
        error = float(((rebuilt - decoded) ** 2).sum())
        each.append(10 * np.log10(255**2 * decoded.size / error))
        errors, pixels = errors + error, pixels + decoded.size
    return each, float(10 * np.log10(255**2 * pixels / errors))


def _find(source: Path, split: Split, row: int) -> io.BytesIO:
    key = os.fsencode(split.keys[row])
    folders = [split.attributes.source_split]
    path = next(p for f in folders if (p := source / f / os.fsdecode(key)).exists())
    return io.BytesIO(path.read_bytes())


def _sizes_within_512(data: Path, folder: Path) -> dict[str, float]:
    small = folder / "within-512"
    for file in sorted((data / "imagenet").rglob("*.JPEG")):
        with Image.open(file) as image:
            if max(image.size) > 512:
                continue
        target = small / file.relative_to(data / "imagenet")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    summary = convert(Request("imagenet", small, folder / "within.zarr"))["train"]
    source = summary.source_bytes_per_image
    return {
        "images": summary.images,
        "all": summary.stored_bytes_per_image / source,
        "24": summary.published_24_bytes_per_image / source,
    }
