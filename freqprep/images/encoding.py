"""Encoding of images as codes: geometry and precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import Selection
from freqprep.spectrum.quantization import CODE_TYPES, Precision


@dataclass(frozen=True)
class Encoding:
    """Geometry and precision: everything that decides the codes of an image.

    Attributes
    ----------
    geometry : Geometry
    precision : Precision
    """

    geometry: Geometry
    precision: Precision

    @property
    def dtype(self) -> np.dtype:
        """Integer dtype of the codes."""
        return self.precision.dtype

    def steps_of(self, selection: Selection) -> np.ndarray:
        """Quantization step of each channel of a selection, float32, shape (C,)."""
        return self.precision.step_table[list(selection.indices)]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON data; the precisions of format 1.0 by name alone."""
        name = self.precision.name
        precision = name if name in CODE_TYPES else self.precision.to_dict()
        return {"geometry": dataclasses.asdict(self.geometry), "precision": precision}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Encoding:
        """Read the fields from JSON data.

        Raises
        ------
        UsageError
            A precision or a geometry that does not exist.
        """
        stated = data["precision"]
        by_name = {"precision": stated} if isinstance(stated, str) else stated
        return cls(Geometry(**data["geometry"]), Precision.from_dict(by_name))
