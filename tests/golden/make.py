"""Writes the golden stores of the present format, and what is in them: python tests/golden/make.py.

Run it for a new format version only: the stores of released versions stay as they are, so that
each later version is tested to read them.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import zarr
from PIL import Image

from freqprep.convert.run import Request, convert
from freqprep.sources import SOURCES
from freqprep.store.schema import FORMAT_VERSION

HERE = Path(__file__).resolve().parent
STORES = {
    "imagefolder": f"format-{FORMAT_VERSION}.zarr",
    "coco": f"format-{FORMAT_VERSION}-coco.zarr",
}
SIZE = 32


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
    convert(Request(kind, MAKERS[kind](source), store, size=SIZE, jobs=1))
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
    """Replace the golden stores of the present format version."""
    expected = {}
    for kind, name in STORES.items():
        with tempfile.TemporaryDirectory() as folder:
            store = make(kind, Path(folder))
            expected |= {f"{kind}/{path}": values for path, values in arrays(store).items()}
            shutil.rmtree(HERE / name, ignore_errors=True)
            shutil.copytree(store, HERE / name)
    np.savez_compressed(HERE / "expected.npz", **expected)


if __name__ == "__main__":
    main()
