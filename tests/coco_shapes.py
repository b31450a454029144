"""A data set in COCO's format that a detector learns quickly: plain shapes on a dim background."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import synthetic
from pycocotools import mask as coco_mask

CATEGORIES = ((3, "box"), (90, "disc"))
_COLOURS = {3: (230, 60, 40), 90: (40, 90, 240)}


def shapes_folder(
    root: Path,
    splits: Mapping[str, int],
    side: int = 48,
    corrupt: int = 0,
    crowds: bool = True,
    square: bool = False,
) -> Path:
    """Write ``root/{split}2017`` and its annotations; the last ``corrupt`` images cannot be read.

    An image has one object or two. Of the first two, with ``crowds``, one has none, and the
    other a crowd besides.
    """
    (root / "annotations").mkdir(parents=True)
    for number, (split, count) in enumerate(splits.items()):
        folder = root / f"{split}2017"
        folder.mkdir()
        images, annotations = [], []
        for index in range(count):
            rng = np.random.default_rng((number, index))
            drawn = (int(n) for n in rng.integers(side * 3 // 4, side + 1, 2))
            height, width = (side, side) if square else drawn
            pixels = 60 + synthetic.pixels(1000 * number + index, height, width) // 6
            objects = 0 if crowds and index == 0 else int(rng.integers(1, 3))
            image_id = 100 * number + 3 * index + 7
            for place in range(objects):
                category = CATEGORIES[int(rng.integers(2))][0]
                mask = _shape(rng, category, place, height, width)
                pixels[mask] = _COLOURS[category]
                annotations.append(_annotation(len(annotations) + 1, image_id, category, mask))
            if crowds and index == 1:
                crowd = np.zeros((height, width), bool)
                crowd[-6:, -14:] = True
                one = _annotation(len(annotations) + 1, image_id, 3, crowd)
                annotations.append({**one, "iscrowd": 1})
            data = synthetic.encoded(pixels, quality=95)
            name = f"{image_id}.jpg"
            (folder / name).write_bytes(data[:50] if index >= count - corrupt else data)
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        document = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": key, "name": name} for key, name in CATEGORIES],
        }
        (root / f"annotations/instances_{split}2017.json").write_text(json.dumps(document))
    return root


def _shape(rng, category: int, place: int, height: int, width: int) -> np.ndarray:
    """Mask of one shape, in the given half of the image."""
    half = width // 2
    tall, wide = (int(rng.integers(side // 2, side * 7 // 8)) for side in (height * 3 // 4, half))
    top, left = int(rng.integers(height - tall)), place * half + int(rng.integers(half - wide))
    y, x = np.mgrid[:height, :width]
    if category == CATEGORIES[0][0]:
        return (y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)
    down, right = (y + 0.5 - top) / tall - 0.5, (x + 0.5 - left) / wide - 0.5
    return down**2 + right**2 <= 0.25


def _annotation(number: int, image_id: int, category: int, mask: np.ndarray) -> dict:
    counts = coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(mask.shape), "counts": counts},
    }
