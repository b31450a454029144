"""A small data set in COCO's format."""

import json
from pathlib import Path

import numpy as np
import synthetic
from pycocotools import mask as coco_mask

SIDES = {11: (40, 60), 12: (30, 20), 25: (50, 50), 30: (24, 24)}  # image id -> height, width


def coco_folder(root: Path) -> Path:
    """Four images; one without objects, one corrupt; polygons, a crowd, a gap in the ids."""
    folder = root / "val2017"
    folder.mkdir(parents=True)
    (root / "annotations").mkdir()
    images = []
    for image_id, (height, width) in SIDES.items():
        data = synthetic.encoded(synthetic.pixels(image_id, height, width), quality=90)
        (folder / f"{image_id}.jpg").write_bytes(data[:50] if image_id == 30 else data)
        images.append(
            {"id": image_id, "file_name": f"{image_id}.jpg", "height": height, "width": width}
        )
    crowd = coco_mask.encode(np.asfortranarray(np.tri(50, 50, dtype=np.uint8)))
    annotations = [
        {
            "id": 5,
            "image_id": 11,
            "category_id": 3,
            "bbox": [5, 10, 20.5, 12],
            "area": 200.25,
            "iscrowd": 0,
            "segmentation": [[5, 10, 25, 10, 25, 22, 5, 22]],
            "extra": "kept",
        },
        {
            "id": 2,
            "image_id": 11,
            "category_id": 90,
            "bbox": [0, 0, 60, 40],
            "area": 2400,
            "iscrowd": 0,
            "segmentation": [],
        },
        {
            "id": 7,
            "image_id": 25,
            "category_id": 3,
            "bbox": [0, 0, 50, 50],
            "area": 1275,
            "iscrowd": 1,
            "segmentation": {"size": [50, 50], "counts": crowd["counts"].decode()},
        },
        {
            "id": 8,
            "image_id": 30,
            "category_id": 3,
            "bbox": [1, 2, 3, 4],
            "area": 12,
            "iscrowd": 0,
            "segmentation": [[1, 2, 4, 2, 4, 6]],
        },
    ]
    categories = [{"id": 3, "name": "cat"}, {"id": 90, "name": "dog"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations/instances_val2017.json").write_text(json.dumps(document))
    return root
