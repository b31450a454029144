"""The annotated objects of a split, from its arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from freqprep.errors import CorruptStoreError
from freqprep.ragged import Ragged
from freqprep.storage.paths import AnyPath


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Annotated objects of a split by image, in the source's order within an image.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        Row i has the objects ``offsets[i]:offsets[i + 1]``.
    box : ndarray of float64, shape (m, 4)
        x, y, width and height in stored pixels, as annotated: not clipped to the image.
    label : ndarray of int64, shape (m,)
        Index into ``attributes.class_ids``.
    area : ndarray of float64, shape (m,)
        Area in stored pixels.
    iscrowd : ndarray of bool, shape (m,)
        Whether the object is a group under one outline.
    annotation_id : ndarray of int64, shape (m,)
    masks : Ragged of uint8
        COCO's compressed counts of a mask of the image's stored size; empty without a mask.
    """

    offsets: np.ndarray
    box: np.ndarray
    label: np.ndarray
    area: np.ndarray
    iscrowd: np.ndarray
    annotation_id: np.ndarray
    masks: Ragged

    def __repr__(self) -> str:
        masks = np.count_nonzero(np.diff(self.masks.offsets))
        crowds = np.count_nonzero(self.iscrowd)
        return (
            f"ObjectTable(objects: {len(self)}, images: {len(self.offsets) - 1},"
            f" with a mask: {masks}, crowds: {crowds})"
        )

    def __len__(self) -> int:
        return len(self.box)

    def of(self, row: int) -> slice:
        """Return the objects of a row as a slice."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    def within(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each object, bool (m,), is in one of the rows of a mask, bool (n,)."""
        return np.repeat(rows, np.diff(self.offsets))

    @classmethod
    def of_arrays(
        cls, array: Callable[[str], np.ndarray], images: int, classes: int, path: AnyPath
    ) -> ObjectTable:
        """Build the table from the arrays of a split, checked.

        Parameters
        ----------
        array : callable
            Returns an array by its name.
        images, classes : int
            Number of rows and of classes of the split.
        path : Path or ObjectPath
            Path of the split, for messages.

        Returns
        -------
        ObjectTable

        Raises
        ------
        CorruptStoreError
            The arrays are not consistent.
        """
        table = cls(
            array("object_offset"),
            array("box"),
            array("object_label"),
            array("area"),
            array("iscrowd"),
            array("annotation_id"),
            Ragged(array("mask"), array("mask_offset")),
        )
        count, masks = len(table.box), table.masks
        columns = (table.label, table.area, table.iscrowd, table.annotation_id)
        fits = all(column.shape == (count,) for column in columns) and table.box.shape == (count, 4)
        fits = fits and offsets_fit(table.offsets, images, count)
        fits = fits and offsets_fit(masks.offsets, count, len(masks.values))
        known = ((table.label >= 0) & (table.label < classes)).all()
        if not (fits and known and np.isfinite(table.box).all()):
            raise CorruptStoreError(
                f"the objects of {path} do not fit its images and classes",
                "restore the split from a copy, or convert again with --overwrite",
            )
        return table


def offsets_fit(offsets: np.ndarray, rows: int, values: int) -> bool:
    """Return whether offsets split ``values`` values into ``rows`` rows, in order."""
    spans = offsets.shape == (rows + 1,) and offsets[0] == 0 and offsets[-1] == values
    return bool(spans and (np.diff(offsets) >= 0).all())
