"""Encoding of images as codes: geometry and precision."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import STORED_ORDER, Selection
from freqprep.spectrum.quantization import PRECISIONS, step_table


@dataclass(frozen=True)
class Encoding:
    """Geometry and precision: everything that decides the codes of an image.

    Attributes
    ----------
    geometry : Geometry
    precision : {"int8", "int16"}
    """

    geometry: Geometry
    precision: str

    @property
    def dtype(self) -> np.dtype:
        """Integer dtype of the codes."""
        return PRECISIONS[self.precision]

    @property
    def stored_steps(self) -> np.ndarray:
        """Quantization step of each channel in stored order, float32, shape (192,)."""
        return step_table(self.precision)[list(STORED_ORDER)]

    def steps_of(self, selection: Selection) -> np.ndarray:
        """Quantization step of each channel of a selection, float32, shape (C,)."""
        return step_table(self.precision)[list(selection.indices)]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Encoding:
        """Read the fields from JSON data.

        Raises
        ------
        UsageError
            A precision or a geometry that does not exist.
        """
        step_table(data["precision"])
        return cls(Geometry(**data["geometry"]), data["precision"])
