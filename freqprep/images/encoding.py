"""How images become codes: the grid, and the precision of its coefficients."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import STORED_ORDER
from freqprep.spectrum.quantization import PRECISIONS, step_table


@dataclass(frozen=True)
class Encoding:
    """Everything that decides the codes of an image.

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

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Encoding:
        """From JSON data.

        Raises
        ------
        UsageError
            A value that no conversion has.
        """
        step_table(data["precision"])
        return cls(Geometry(**data["geometry"]), data["precision"])
