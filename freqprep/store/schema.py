"""Schema of a split: its attributes and its arrays."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from freqprep.errors import CorruptStoreError, FormatVersionError, UsageError
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import CHANNELS, NAMES, STORED_ORDER
from freqprep.spectrum.quantization import CODE_TYPES, Precision
from freqprep.store.attribute_checks import (
    channels_of,
    check_classes,
    level_of,
    number,
    refuse_other_keys,
    texts,
    typed,
    window_of,
)
from freqprep.store.packed import Packed
from freqprep.store.row_order import rule_document

FORMAT_NAME = "freqprep"
FORMAT_VERSION = "1.2"
"""The newest version that is read. Each split is written as the oldest that can express it."""

ROOT_VERSION = "1.0"
"""Version of every store's root; each split states its own."""

ROWS_PER_SHARD = 128
"""Images in one shard; a chunk holds one channel of all of them."""

MOST_SIMPLE_ROWS = 2**23
"""Splits of more rows have larger forms: of the manifest, the journal and the order of an epoch."""

COEFFICIENTS = "coefficients"

DEFAULT_LEVEL = 1
LEVELS = range(1, 23)
"""Levels of zstd: more is smaller, and slower to write."""

_MINOR = re.compile("[0-9]{1,9}")
_MOST_SHOWN = 200
_MOST_IMAGES = 2**62

_TRANSFORM = {
    "color": "JFIF YCbCr, full range",
    "dct": "orthonormal 8x8 DCT-II of pixels minus 128, matrix rounded to multiples of 2**-14",
    "block": 8,
    "value": "code * step",
}


def is_large(images: int) -> bool:
    """Return whether a split of so many rows has the larger forms."""
    return images > MOST_SIMPLE_ROWS


def shard_shape(geometry: Geometry, channels: int = CHANNELS) -> tuple[int, int, int, int]:
    """Return the shape of a shard: images, channels, rows and columns."""
    return (ROWS_PER_SHARD, channels, *geometry.grid)


def chunk_shape(geometry: Geometry) -> tuple[int, int, int, int]:
    """Return the shape of a chunk: images, channels, rows and columns."""
    return (ROWS_PER_SHARD, 1, *geometry.grid)


@dataclass(frozen=True)
class SplitAttributes:
    """Attributes of a split's group, without its content id.

    Attributes
    ----------
    split, source_split : str
        Name of the split in the store, and in the source.
    source_kind : str
        ``imagefolder``, ``imagenet`` or ``coco``.
    images, rejected : int
        Number of rows, and of rows without an image.
    encoding : Encoding
    seed : int
        Seed of the row permutation.
    class_ids : tuple of str or int
    class_names : tuple of str
    versions : dict of str to str
        Versions of the libraries that decide the stored bytes.
    channels : tuple of int
        Raster indices of the channels stored, in stored order.
    level : int
        Level of zstd of the coefficients, 1 to 22.
    packed : Packed or None
        The split that this one was packed from; None if it was converted.
    window : int or None
        Rows of a window of the row order ``runs``; None if rows are one permutation. See
        `freqprep.store.row_order`.
    """

    split: str
    source_split: str
    source_kind: str
    images: int
    rejected: int
    encoding: Encoding
    seed: int
    class_ids: tuple[str | int, ...]
    class_names: tuple[str, ...]
    versions: dict[str, str]
    channels: tuple[int, ...] = STORED_ORDER
    level: int = DEFAULT_LEVEL
    packed: Packed | None = None
    window: int | None = None

    def __post_init__(self) -> None:
        kept = set(self.channels)
        if not kept or self.channels != tuple(index for index in STORED_ORDER if index in kept):
            raise ValueError("the channels are not some of the 192 in stored order")
        if not 0 <= self.rejected <= self.images:
            raise ValueError(f"{self.rejected} of {self.images} images are rejected")
        if self.images > _MOST_IMAGES:
            raise ValueError(f"{self.images} images")
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level} is not one of 1 to {LEVELS[-1]}")

    def __repr__(self) -> str:
        geometry = self.encoding.geometry
        return (
            f"SplitAttributes({self.split!r}, {self.source_kind}, images={self.images},"
            f" rejected={self.rejected}, classes={len(self.class_ids)},"
            f" {geometry.kind} {geometry.size}, {self.encoding.precision.name})"
        )

    @cached_property
    def positions(self) -> dict[int, int]:
        """Stored position of each channel stored, by raster index."""
        return {index: position for position, index in enumerate(self.channels)}

    @property
    def stored_steps(self) -> np.ndarray:
        """Quantization step of each channel stored, in stored order, float32."""
        return self.encoding.precision.step_table[list(self.channels)]

    @property
    def format_version(self) -> str:
        """The oldest version of the format that can express this split."""
        if is_large(self.images) or self.window is not None:
            return "1.2"
        as_before = (
            self.encoding.precision.name in CODE_TYPES
            and self.channels == STORED_ORDER
            and self.level == DEFAULT_LEVEL
            and self.packed is None
        )
        return "1.0" if as_before else "1.1"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data stored in the group's attributes."""
        precision = self.encoding.precision
        newer = self.format_version != "1.0"
        return {
            "format": FORMAT_NAME,
            "format_version": self.format_version,
            "split": self.split,
            "source_split": self.source_split,
            "source_kind": self.source_kind,
            "images": self.images,
            "rejected": self.rejected,
            "transform": _TRANSFORM,
            "channels": [NAMES[index] for index in self.channels],
            "geometry": dataclasses.asdict(self.encoding.geometry),
            "quantization": precision.to_dict() if newer else {"precision": precision.name},
            **({"compression": {"codec": "zstd", "level": self.level}} if newer else {}),
            "order": rule_document(self.seed, self.window),
            "classes": {"ids": list(self.class_ids), "names": list(self.class_names)},
            "versions": self.versions,
            **({} if self.packed is None else {"packed": dataclasses.asdict(self.packed)}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SplitAttributes:
        """Parse stored attributes.

        Raises
        ------
        FormatVersionError
            They are not those of a freqprep split, or the format cannot be read.
        CorruptStoreError
            An attribute is missing or malformed.
        """
        check_format(data)
        try:
            refuse_other_keys(data)
            check_classes(data["classes"])
            return cls(
                split=typed(data, "split", str),
                source_split=typed(data, "source_split", str),
                source_kind=typed(data, "source_kind", str),
                images=number(data, "images"),
                rejected=number(data, "rejected"),
                encoding=Encoding(
                    Geometry(**data["geometry"]), Precision.from_dict(data["quantization"])
                ),
                seed=number(data["order"], "seed"),
                class_ids=tuple(data["classes"]["ids"]),
                class_names=tuple(data["classes"]["names"]),
                versions=texts(data, "versions"),
                channels=channels_of(data),
                level=level_of(data, DEFAULT_LEVEL),
                packed=Packed.from_dict(data["packed"]) if "packed" in data else None,
                window=window_of(data),
            )
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            what = f"{error!r:.{_MOST_SHOWN}}"
            raise CorruptStoreError(f"the split's attributes are malformed: {what}") from None


def check_format(data: dict[str, Any]) -> None:
    """Refuse attributes of another format.

    Raises
    ------
    FormatVersionError
        Another format, another major version, or a newer minor version.
    """
    if data.get("format") != FORMAT_NAME:
        raise FormatVersionError(
            f"not a freqprep store: attribute format is {data.get('format')!r}",
            "make one with `freqprep convert`",
        )
    stored = str(data.get("format_version"))
    major, _, minor = stored.partition(".")
    ours = FORMAT_VERSION.split(".")
    if major != ours[0] or not _MINOR.fullmatch(minor) or int(minor) > int(ours[1]):
        raise FormatVersionError(
            f"the store has format {stored:.60}, this freqprep reads up to {FORMAT_VERSION}",
            "install a newer freqprep",
        )


def in_two_levels(attributes: Mapping[str, Any]) -> bool:
    """Return whether attributes, of a format that is read, say that the manifest has two levels."""
    newer = int(str(attributes["format_version"]).partition(".")[2]) >= 2
    return newer and is_large(attributes["images"])  # 1.2 is also that of rows by runs


def check_level(level: int) -> None:
    """Refuse a level that zstd does not have.

    Raises
    ------
    UsageError
    """
    if level not in LEVELS:
        raise UsageError(f"--level must be from {LEVELS[0]} to {LEVELS[-1]}, got {level}")


@dataclass(frozen=True)
class ArraySpec:
    """Type and dimensions of one small array of a split.

    Attributes
    ----------
    dtype : str
    dimensions : tuple of str
        Dimension names; dimensions of one name have one length.
    """

    dtype: str
    dimensions: tuple[str, ...]


def _ragged(name: str, per: str) -> dict[str, ArraySpec]:
    return {
        name: ArraySpec("uint8", (f"{name}_byte",)),
        f"{name}_offset": ArraySpec("int64", (f"{per}_edge",)),
    }


IMAGE_ARRAYS: dict[str, ArraySpec] = {
    "step": ArraySpec("float32", ("channel",)),
    "moment_total": ArraySpec("int64", ("channel",)),
    "moment_total_squares": ArraySpec("int64", ("channel",)),
    "label": ArraySpec("int64", ("image",)),
    "valid": ArraySpec("bool", ("image",)),
    "size": ArraySpec("int32", ("image", "side")),
    "source_size": ArraySpec("int32", ("image", "side")),
    "orientation": ArraySpec("uint8", ("image",)),
    "source_bytes": ArraySpec("int64", ("image",)),
    "saturated": ArraySpec("int32", ("image",)),
    "luma_squared_error": ArraySpec("float64", ("image",)),
    "listing_index": ArraySpec("int64", ("image",)),
    **_ragged("key", "image"),
    **_ragged("defect", "image"),
    **_ragged("note", "image"),
}
"""Arrays of every split besides the coefficients, described in docs/format.md."""

OBJECT_ARRAYS: dict[str, ArraySpec] = {
    "image_id": ArraySpec("int64", ("image",)),
    "object_offset": ArraySpec("int64", ("image_edge",)),
    "box": ArraySpec("float64", ("object", "box_side")),
    "object_label": ArraySpec("int64", ("object",)),
    "area": ArraySpec("float64", ("object",)),
    "iscrowd": ArraySpec("bool", ("object",)),
    "annotation_id": ArraySpec("int64", ("object",)),
    **_ragged("mask", "object"),
    **_ragged("annotation", "object"),
}
"""Additional arrays of a split with annotated objects."""
