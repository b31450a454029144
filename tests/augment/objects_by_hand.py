"""Tables of objects without a store."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from freqprep.ragged import Ragged
from freqprep.store.object_table import ObjectTable


def table(
    *images: Sequence[tuple[Sequence[float], int, bool, np.ndarray | None]],
) -> ObjectTable:
    """Of each image its objects: box, label, whether it is a crowd, mask or None."""
    objects = [one for image in images for one in image]
    boxes = np.array([box for box, *_ in objects], np.float64).reshape(-1, 4)
    return ObjectTable(
        np.cumsum([0, *map(len, images)]),
        boxes,
        np.array([label for _, label, *_ in objects], np.int64),
        boxes[:, 2] * boxes[:, 3],
        np.array([crowd for *_, crowd, _ in objects], bool),
        np.arange(len(objects)),
        Ragged.of_bytes([b"" if mask is None else counts(mask) for *_, mask in objects]),
    )


def counts(mask: np.ndarray) -> bytes:
    """COCO's compressed counts."""
    return bytes(coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"])


def blob(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random mask of a few strokes, not empty."""
    mask = np.zeros((height, width), bool)
    for _ in range(4):
        top, left = rng.integers(0, height), rng.integers(0, width)
        mask[top : top + rng.integers(1, height + 1), left : left + rng.integers(1, width + 1)] ^= (
            True
        )
    mask[rng.integers(height), rng.integers(width)] = True
    return mask


def around(mask: np.ndarray) -> list[float]:
    """The box of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = float(columns[0]), float(rows[0])
    return [left, top, columns[-1] + 1 - left, rows[-1] + 1 - top]
