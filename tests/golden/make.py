"""Writes golden stores, and what is in them: ``python tests/golden/make.py VERSION...``.

Run it for a version that is not released yet: the stores of released versions stay as they are,
so that each later version is tested to read them.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import zarr
from PIL import Image

from freqprep.convert.run import Request, convert
from freqprep.pack import PackRequest, pack
from freqprep.sources import SOURCES
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store import schema

HERE = Path(__file__).resolve().parent
STORES = {
    "imagefolder": "format-1.0.zarr",
    "coco": "format-1.0-coco.zarr",
    "packed": "format-1.1.zarr",
    "large": "format-1.2.zarr",
}
EXPECTED = {"1.0": "expected.npz", "1.1": "expected-1.1.npz", "1.2": "expected-1.2.npz"}
SIZE = 32

STEPS = Precision("golden", "int8", (4.0,) * 64 + (16.0,) * 64 + (0.5, *(8.0,) * 63))
"""Steps that differ by component, one of them below 1."""

LEVEL = 17
KEPT = ("y_7_7", "y_0_0", "y_0_1", "cb_0_0", "cb_3_4", "cr_0_0", "cr_1_0")


def ramps(height: int, width: int, slope: int) -> Image.Image:
    """Whole-number ramps and checks: the same pixels everywhere and for ever."""
    y, x = np.mgrid[:height, :width]
    planes = (slope * x + 3 * y, 5 * y + (x // 4 + y // 4) % 2 * 90, 255 - slope * y)
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def folder_source(root: Path) -> Path:
    """Three classes; one rejected file and a name that is not ASCII."""
    save(ramps(32, 32, 7), root / "train/ant/1.png")
    save(ramps(20, 27, 2), root / "train/ant/caf\u00e9.png")
    save(ramps(8, 8, 1).convert("L"), root / "train/bee/grey.png")
    (root / "train/bee/empty.png").write_bytes(b"")
    save(ramps(1, 1, 1), root / "train/cat/dot.png")
    return root


def coco_source(root: Path) -> Path:
    """Three images: polygons, a crowd's run lengths, an unknown key, and one without objects."""
    sizes = {4: (32, 24), 9: (16, 16), 12: (24, 32)}
    for number, (height, width) in sizes.items():
        save(ramps(height, width, number), root / f"val2017/{number}.png")
    images = [
        {"id": number, "file_name": f"{number}.png", "height": height, "width": width}
        for number, (height, width) in sizes.items()
    ]
    base = {"iscrowd": 0, "area": 64.5}
    annotations = [
        {**base, "id": 3, "image_id": 4, "category_id": 7, "bbox": [1.5, 2, 10, 12],
         "segmentation": [[1.5, 2, 11.5, 2, 11.5, 14]], "note": "kept"},
        {**base, "id": 5, "image_id": 4, "category_id": 2, "bbox": [0, 0, 24, 32],
         "segmentation": []},
        {"id": 8, "image_id": 9, "category_id": 7, "bbox": [0, 0, 16, 16], "area": 128,
         "iscrowd": 1, "segmentation": {"size": [16, 16], "counts": [64, 128, 64]}},
    ]  # fmt: skip
    categories = [{"id": 2, "name": "two"}, {"id": 7, "name": "seven"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations/instances_val2017.json").write_text(json.dumps(document))
    return root


MAKERS = {"imagefolder": folder_source, "coco": coco_source}
assert MAKERS.keys() <= SOURCES.keys()


def make(kind: str, folder: Path) -> Path:
    """Convert one synthetic source into ``folder``; the store."""
    source = folder / "source"
    source.mkdir()
    store = folder / STORES[kind]
    if kind in MAKERS:
        return _converted(kind, source, store)
    if kind == "large":  # as if five rows were millions
        with mock.patch.object(schema, "MOST_SIMPLE_ROWS", 4):
            return _converted("imagefolder", source, store)
    whole = _converted("imagefolder", source, folder / "whole.zarr", STEPS, LEVEL)
    pack(PackRequest(whole, store, channels=KEPT, jobs=1))
    return store


def _converted(
    kind: str, source: Path, store: Path, precision: Precision = PRECISIONS["int8"], level: int = 1
) -> Path:
    images = MAKERS[kind](source)
    convert(Request(kind, images, store, size=SIZE, jobs=1, precision=precision, level=level))
    return store


def arrays(store: Path) -> dict[str, np.ndarray]:
    """Every array of a store by zarr-python alone: split/array -> values."""
    root = zarr.open_group(store, mode="r")
    return {
        f"{split}/{name}": array[...]
        for split, group in root.groups()
        for name, array in group.arrays()
    }


def main() -> None:
    """Replace the golden stores of some format versions."""
    for version in sys.argv[1:]:
        _write(version)


def _write(version: str) -> None:
    expected = {}
    for kind, name in STORES.items():
        if not name.startswith(f"format-{version}"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            store = make(kind, Path(folder))
            expected |= {f"{kind}/{path}": values for path, values in arrays(store).items()}
            shutil.rmtree(HERE / name, ignore_errors=True)
            shutil.copytree(store, HERE / name)
    np.savez_compressed(HERE / EXPECTED[version], **expected)


if __name__ == "__main__":
    main()
