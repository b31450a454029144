"""Stores that only format 1.1 has: other steps, another level, a subset of channels."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from freqprep.spectrum.channels import CHANNELS, STORED_ORDER
from freqprep.spectrum.quantization import Precision
from freqprep.storage.disk import write_parts
from freqprep.store import shard
from freqprep.store.layout import shard_path
from freqprep.store.reader import Split, open_store
from freqprep.store.schema import (
    IMAGE_ARRAYS,
    OBJECT_ARRAYS,
    Packed,
    chunk_shape,
    library_versions,
)
from freqprep.store.writer import PartialSplit, open_or_create_root

PER_CHANNEL = ("step", "moment_total", "moment_total_squares")


def by_component(name: str, luma: float, cb: float, cr: float, codes: str = "int8") -> Precision:
    """Precision of a step for each component, twice that from v + h = 6 on."""
    high = np.add.outer(np.arange(8), np.arange(8)).ravel() >= 6
    steps = [step * (1 + high) for step in (luma, cb, cr)]
    return Precision(name, codes, tuple(np.concatenate(steps).astype(float).tolist()))


COARSE = by_component("coarse", 8, 16, 32)
"""int8 codes, steps from 8 to 64, other ones in Y, Cb and Cr."""

FINE = Precision("half", "int16", (0.5,) * CHANNELS)


def keep(store: Path, target: Path, channels: Iterable[int], level: int = 1) -> Path:
    """Write a store of the same splits with some of their channels, raster indices."""
    kept = set(channels)
    open_or_create_root(target)
    for split in open_store(store).values():
        _keep(split, target, [index for index in STORED_ORDER if index in kept], level)
    return target


def _keep(split: Split, target: Path, kept: list[int], level: int) -> None:
    positions = [split.attributes.positions[index] for index in kept]
    attributes = dataclasses.replace(
        split.attributes,
        channels=tuple(kept),
        level=level,
        packed=Packed(split.content_id, library_versions()),
    )
    specs = IMAGE_ARRAYS | (OBJECT_ARRAYS if split.has_boxes else {})
    arrays = {name: split.array(name) for name in specs}
    arrays |= {name: arrays[name][positions] for name in PER_CHANNEL}
    partial = PartialSplit(target, split.attributes.split)
    partial.start()
    shards = {}
    with partial.aside() as aside:
        for number in range(split.shards):
            path = shard_path(partial.split_folder, number)
            path.parent.mkdir(parents=True)
            parts = shard.encode(_codes(split, number, positions), level)
            shards[path.relative_to(partial.split_folder).as_posix()] = write_parts(
                path, parts, aside
            )
        partial.publish(attributes, arrays, specs, shards, aside)


def _codes(split: Split, number: int, positions: list[int]) -> list[np.ndarray]:
    images, _, rows, columns = chunk_shape(split.attributes.encoding.geometry)
    codes = np.empty((len(positions), images, rows, columns), split.attributes.encoding.dtype)
    where = dict(zip(positions, codes, strict=True))
    with split.open_shard(number) as file:
        for _ in file.read(positions, where.__getitem__):
            pass
    return list(codes)
