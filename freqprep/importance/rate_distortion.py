"""Bytes and distortion of each channel at each quantization step, measured on some shards.

Codes are rounded to coarser steps and compressed in chunks of 128 images, as a conversion with
those steps would. Distortion is counted as networks see it: energy in RGB that is left when the
image is resized to a short side of 256 pixels (`visibility`), for what is lost by rounding or by
leaving the channel out.

A coefficient is its code times the stored step and a remainder, which codes do not tell. It is
taken as uniform, and where the code is 0 as that of a double exponential density.

Codes of the stored steps know nothing of finer ones, and not to which side a half-way code goes.
Codes of the same images at fine steps (`FINE`), where they can be had, know both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from freqprep import engines
from freqprep.importance.scores import rgb_gram
from freqprep.importance.shard_counts import rows_of
from freqprep.importance.visibility import scale_of, transfer
from freqprep.progress import Progress
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.quantization import SMALLEST_STEP, Precision, requantize
from freqprep.storage.paths import AnyPath
from freqprep.store.manifest import MANIFEST
from freqprep.store.plan import evenly_spread
from freqprep.store.reader import Split, reopen
from freqprep.store.schema import DEFAULT_LEVEL, ROWS_PER_SHARD
from freqprep.store.shard import encode_chunk

STEPS = tuple(2.0**k for k in range(8))
"""Steps that are measured: 1 to 128."""

SAMPLED_SHARDS = 2

FINE = Precision("fine", "int16", (SMALLEST_STEP,) * CHANNELS)
"""Precision of codes that stand for coefficients."""

FineCodes = Callable[[int], np.ndarray]
"""From a shard's number to the codes of its images at `FINE`: int16 of shape (192, 128, rows,
columns), channels in stored order, zeros for rejected images and beyond the last one. Picklable."""

_INT8 = np.iinfo(np.int8)

_LOCAL = engines.Workers()

_FLAT = 0.01  # a density that falls by less inside a step is uniform


@dataclass(frozen=True, eq=False)
class Rates:
    """Bytes and distortion of each channel at each of `STEPS`, and as it is stored.

    Bytes and distortion are infinite where the channel is not stored and, unless they are of the
    source, where a step is finer than the stored one.

    Attributes
    ----------
    channel_bytes : ndarray of float64, shape (192, 8)
        Bytes on disk per image.
    distortion : ndarray of float64, shape (192, 8)
        Visible distortion by rounding to int8 codes of the step, saturation included; grey levels
        squared a block (an 8x8 block of three colours).
    absent : ndarray of float64, shape (192,)
        Visible distortion without the channel: its visible energy. 0 where it is not stored.
    precision : Precision
        That of the split.
    stored_bytes, stored_distortion : ndarray of float64, shape (192,)
        Bytes and distortion at the stored steps.
    level : int
        Level of zstd that the bytes are of: that of the split.
    images : int
        Number of images measured.
    of_source : bool
        Whether they were measured from codes at `FINE`, not from the stored ones.
    """

    channel_bytes: np.ndarray
    distortion: np.ndarray
    absent: np.ndarray
    precision: Precision
    stored_bytes: np.ndarray
    stored_distortion: np.ndarray
    level: int
    images: int
    of_source: bool = False


@dataclass(frozen=True)
class _Task:
    path: AnyPath
    content_id: str
    shard: int
    codes_of: FineCodes | None


@dataclass(eq=False)
class _Totals:
    """Sums over the sampled images; fields as in `Rates`, not yet per image or block."""

    channel_bytes: np.ndarray
    distortion: np.ndarray
    absent: np.ndarray
    stored_bytes: np.ndarray
    stored_distortion: np.ndarray

    @classmethod
    def zero(cls, largest: float = 0.0) -> _Totals:
        """Return sums of nothing; ``largest`` stands for what is not measured at a step."""
        by_step = (CHANNELS, len(STEPS))
        size, lost = np.full((2, *by_step), largest)
        one = np.zeros(CHANNELS)
        return cls(size, lost, one, one.copy(), one.copy())

    def __add__(self, other: _Totals) -> _Totals:
        return _Totals(*(vars(self)[name] + vars(other)[name] for name in vars(self)))


def sampled_shards(split: Split) -> list[int]:
    """Return the shards that are measured: up to `SAMPLED_SHARDS`, evenly spread full ones."""
    filled = np.unique(np.flatnonzero(split.valid) // ROWS_PER_SHARD)
    # The last shard may hold few images, and chunks of few images compress less: it stands for
    # itself alone.
    full = filled[:-1] if len(filled) > SAMPLED_SHARDS else filled
    shards: list[int] = full[evenly_spread(len(full), SAMPLED_SHARDS)].tolist()
    return shards


def measure_rates(
    split: Split,
    channel_bytes: np.ndarray,
    workers: engines.Workers = _LOCAL,
    codes_of: FineCodes | None = None,
) -> Rates:
    """Measure the `sampled_shards` of a split.

    Parameters
    ----------
    split : Split
        With a valid image.
    channel_bytes : ndarray of float64, shape (192,)
        Bytes on disk per image of each channel in the whole split: those of the sample are scaled
        so that they agree with these at the stored steps.
    workers : Workers, optional
        By default a process of this machine per core.
    codes_of : FineCodes, optional
        Codes of the images of these shards at fine steps, to measure instead of the stored ones.

    Returns
    -------
    Rates
    """
    shards = sampled_shards(split)
    total = _Totals.zero()
    path = workers.path(split.path)
    tasks = (_Task(path, split.content_id, shard, codes_of) for shard in shards)
    workers, places = workers.at_most(len(shards)), engines.Places((split.path / MANIFEST,))
    with Progress("bytes by step", len(shards), unit="shard") as progress:
        for found in engines.run(_measure_shard, tasks, workers, places):
            total += found
            progress.update(1)
    rows = np.concatenate([rows_of(len(split), shard) for shard in shards])
    images, blocks = int(split.valid[rows].sum()), int(split.blocks[rows].sum())
    scale = channel_bytes / np.maximum(total.stored_bytes, 1)
    missing = np.full(CHANNELS, np.inf)
    missing[list(split.attributes.channels)] = 0
    return Rates(
        channel_bytes=total.channel_bytes * np.maximum(scale, np.finfo(float).tiny)[:, None],
        distortion=total.distortion / blocks,
        absent=total.absent / blocks,
        precision=split.attributes.encoding.precision,
        stored_bytes=channel_bytes + missing,
        stored_distortion=total.stored_distortion / blocks + missing,
        level=split.attributes.level,
        images=images,
        of_source=codes_of is not None,
    )


def _measure_shard(task: _Task) -> _Totals:
    """Measure one shard, in a worker."""
    split = reopen(task.path, task.content_id)
    rows = rows_of(len(split), task.shard)
    weights = np.tile(transfer()[scale_of(split.sizes[rows].min(axis=1))], 3)
    weights *= np.repeat(np.diag(rgb_gram()), FREQUENCIES)
    found = _Totals.zero(np.inf)
    precision, stored = split.attributes.encoding.precision, split.attributes.channels
    fine = None if task.codes_of is None else task.codes_of(task.shard)
    with split.open_shard(task.shard) as file:
        found.stored_bytes[list(stored)] = file.chunk_lengths
        for position, codes in file.read(range(len(stored))):
            index = stored[position]
            ours = codes if fine is None else fine[STORED_POSITION[index]]
            step = precision.steps[index] if fine is None else SMALLEST_STEP
            channel = _Channel.of(ours, len(rows), int(split.blocks[rows].sum()))
            unit = weights[:, index] * step**2
            remainder = unit @ split.blocks[rows] * channel.remainder
            found.absent[index] = unit @ channel.squares() + remainder
            lost = channel.squared_error(codes, int(precision.steps[index] / step))
            found.stored_distortion[index] = unit @ lost + remainder
            # What a higher level saves is taken to be the same at every step: it is slow.
            saved = found.stored_bytes[index] / len(encode_chunk(codes, DEFAULT_LEVEL))
            for number, coarse in enumerate(STEPS):
                if coarse == precision.steps[index] and precision.dtype == np.int8:
                    found.channel_bytes[index, number] = found.stored_bytes[index]
                    found.distortion[index, number] = found.stored_distortion[index]
                elif coarse >= step:
                    random = np.random.default_rng((task.shard, index, number))
                    size, lost = channel.rounded(int(coarse / step), random)
                    found.channel_bytes[index, number] = size * saved
                    found.distortion[index, number] = unit @ lost + remainder
    return found


@dataclass(frozen=True, eq=False)
class _Channel:
    """Codes of one channel in a shard: those that are not 0, and how many are."""

    shape: tuple[int, ...]
    rows: int
    where: np.ndarray
    values: np.ndarray
    zeros: int

    @classmethod
    def of(cls, codes: np.ndarray, rows: int, blocks: int) -> _Channel:
        flat = codes.reshape(-1)
        where = np.flatnonzero(flat)
        zeros = blocks - len(where)
        return cls(codes.shape, rows, where, flat[where].astype(np.int32), zeros)

    @property
    def remainder(self) -> float:
        """Mean square of what is left of a coefficient beside its code, in steps squared."""
        others = len(self.values) + 0.5
        total = max(self.zeros, 0) + others
        # exp(-rate / 2) is the share beyond half a step of a double exponential density.
        rate = 2 * np.log(total / others)
        if rate < _FLAT:
            return 1 / 12
        beyond = others / total
        inside = 2 / rate**2 - beyond * (1 / 4 + 1 / rate + 2 / rate**2)
        return float(inside + beyond / 12)

    def squares(self) -> np.ndarray:
        """Return the sum of the squared codes of each image."""
        return self._by_image(self.values.astype(np.float64) ** 2)

    def squared_error(self, coarse: np.ndarray, ratio: int) -> np.ndarray:
        """Return each image's squared error of codes of a coarser step, in steps squared."""
        error = self.values - coarse.reshape(-1)[self.where].astype(np.int32) * ratio
        return self._by_image(error.astype(np.float64) ** 2)

    def rounded(self, ratio: int, random: np.random.Generator) -> tuple[int, np.ndarray]:
        """Return the bytes at a coarser step, and what it adds to each image's squared error."""
        again = requantize(self.values, ratio, random, self.zeros)
        again = np.clip(again, _INT8.min, _INT8.max)
        codes = np.zeros(self.shape, np.int8)
        codes.reshape(-1)[self.where] = again
        error = np.abs(self.values - again * ratio).astype(np.float64)
        # From a half-way code the coefficient is rounded to its own side, which is nearer by its
        # remainder, 1/4 on average.
        halfway = (error == ratio / 2) & (ratio > 1)
        added = error**2 - np.where(halfway, ratio / 4, 0)
        return len(encode_chunk(codes, DEFAULT_LEVEL)), self._by_image(added)

    def _by_image(self, values: np.ndarray) -> np.ndarray:
        """Add up values, one for each code that is not 0, by image."""
        image = self.where // int(np.prod(self.shape[1:]))
        return np.bincount(image, values, minlength=self.rows)[: self.rows]
