"""Bytes and distortion of each channel at each quantization step, measured on some shards.

Codes are rounded to coarser steps and compressed in chunks of 128 images, as a conversion with
those steps would. Distortion is counted as networks see it: energy in RGB that is left when the
image is resized to a short side of 256 pixels (`visibility`), for what is lost by rounding or by
leaving the channel out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from freqprep import engines
from freqprep.importance.scores import rgb_gram
from freqprep.importance.shard_counts import rows_of
from freqprep.importance.visibility import scale_of, transfer
from freqprep.progress import Progress
from freqprep.spectrum import FREQUENCIES
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.quantization import Precision, requantize
from freqprep.store.reader import Split, reopen
from freqprep.store.schema import DEFAULT_LEVEL, ROWS_PER_SHARD
from freqprep.store.shard import encode_chunk

STEPS = tuple(2.0**k for k in range(8))
"""Steps that are measured: 1 to 128."""

SAMPLED_SHARDS = 2

_LARGEST_INT8 = 127.5


@dataclass(frozen=True, eq=False)
class Rates:
    """Bytes and distortion of each channel at each of `STEPS`, and as it is stored.

    Bytes are infinite where a step is finer than the stored one, where an int8 code would
    saturate, and where the channel is not stored.

    Attributes
    ----------
    channel_bytes : ndarray of float64, shape (192, 8)
        Bytes on disk per image.
    distortion : ndarray of float64, shape (192, 8)
        Visible distortion by rounding to the step, grey levels squared a block (an 8x8 block of
        three colours).
    absent : ndarray of float64, shape (192,)
        Visible distortion without the channel: its visible energy.
    precision : Precision
        That of the split.
    stored_bytes, stored_distortion : ndarray of float64, shape (192,)
        Bytes and distortion at the stored steps.
    images : int
        Number of images measured.
    """

    channel_bytes: np.ndarray
    distortion: np.ndarray
    absent: np.ndarray
    precision: Precision
    stored_bytes: np.ndarray
    stored_distortion: np.ndarray
    images: int


@dataclass(frozen=True)
class _Task:
    path: Path
    content_id: str
    shard: int


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
        by_step = (CHANNELS, len(STEPS))
        one = np.zeros(CHANNELS)
        return cls(np.full(by_step, largest), np.zeros(by_step), one, one.copy(), one.copy())

    def __add__(self, other: _Totals) -> _Totals:
        return _Totals(*(vars(self)[name] + vars(other)[name] for name in vars(self)))


def measure_rates(split: Split, channel_bytes: np.ndarray, jobs: int | None = None) -> Rates:
    """Measure up to `SAMPLED_SHARDS` evenly spread shards of a split.

    Parameters
    ----------
    split : Split
        With a valid image.
    channel_bytes : ndarray of float64, shape (192,)
        Bytes on disk per image of each channel in the whole split: those of the sample are scaled
        so that they agree with these at the stored steps.
    jobs : int, optional
        Number of worker processes; one per core by default.

    Returns
    -------
    Rates
    """
    filled = np.unique(np.flatnonzero(split.valid) // ROWS_PER_SHARD)
    # The last shard may hold few images, and chunks of few images compress less.
    full = filled[:-1] if len(filled) > 1 else filled
    picked = np.linspace(0, len(full) - 1, min(SAMPLED_SHARDS, len(full))).astype(int)
    shards = full[np.unique(picked)].tolist()
    total = _Totals.zero()
    tasks = (_Task(split.path, split.content_id, shard) for shard in shards)
    workers = max(1, min(jobs or engines.default_jobs(), len(shards)))
    with Progress("bytes by step", len(shards), unit="shard") as progress:
        for found in engines.run(_measure_shard, tasks, workers):
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
        images=images,
    )


def _measure_shard(task: _Task) -> _Totals:
    """Measure one shard, in a worker."""
    split = reopen(task.path, task.content_id)
    rows = rows_of(len(split), task.shard)
    weights = np.tile(transfer()[scale_of(split.sizes[rows].min(axis=1))], 3)
    weights *= np.repeat(np.diag(rgb_gram()), FREQUENCIES)
    found = _Totals.zero(np.inf)
    encoding, stored = split.attributes.encoding, split.attributes.channels
    scratch = np.empty((ROWS_PER_SHARD, *encoding.geometry.grid), encoding.dtype)
    with split.open_shard(task.shard) as file:
        found.stored_bytes[list(stored)] = file.chunk_lengths
        for position, codes in file.read(range(len(stored)), lambda _: scratch):
            index = stored[position]
            step, weight = encoding.precision.steps[index], weights[:, index]
            channel = _Channel.of(codes, len(rows))
            # Uniform quantization: an error of step**2 / 12 each, whatever the code.
            stored_error = weight @ split.blocks[rows] * step**2 / 12
            found.stored_distortion[index] = stored_error
            found.absent[index] = weight @ channel.squares(channel.values) * step**2
            # What a higher level saves is taken to be the same at every step: it is slow.
            saved = found.stored_bytes[index] / len(encode_chunk(codes, DEFAULT_LEVEL))
            for number, coarse in enumerate(STEPS):
                if channel.fits(coarse / step):
                    random = np.random.default_rng((task.shard, index, number))
                    size, lost = channel.rounded(int(coarse / step), random)
                    found.channel_bytes[index, number] = size * saved
                    found.distortion[index, number] = weight @ lost * step**2 + stored_error
    return found


@dataclass(frozen=True, eq=False)
class _Channel:
    """Codes of one channel in a shard: those that are not 0, which are few."""

    shape: tuple[int, ...]
    rows: int
    where: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, rows: int) -> _Channel:
        flat = codes.reshape(-1)
        where = np.flatnonzero(flat)
        return cls(codes.shape, rows, where, flat[where].astype(np.int32))

    def fits(self, ratio: float) -> bool:
        """Return whether codes at a step so many times the stored one are known, and fit int8."""
        largest = int(np.abs(self.values).max(initial=0))
        # An int8 code of -128 is as it was converted; at coarser steps none comes near.
        return ratio >= 1 and largest <= _LARGEST_INT8 * ratio + (ratio == 1)

    def rounded(self, ratio: int, random: np.random.Generator) -> tuple[int, np.ndarray]:
        """Return the bytes at a coarser step, and the squared error of each image's codes."""
        again = requantize(self.values, ratio, random)
        codes = np.zeros(self.shape, np.int8)
        codes.reshape(-1)[self.where] = np.clip(again, -128, 127)
        size = len(encode_chunk(codes, DEFAULT_LEVEL))
        return size, self.squares(self.values - again * ratio)

    def squares(self, values: np.ndarray) -> np.ndarray:
        """Add up squares of values, one for each code that is not 0, by image."""
        image = self.where // int(np.prod(self.shape[1:]))
        return np.bincount(image, values.astype(np.float64) ** 2, minlength=self.rows)[: self.rows]
