"""Analysis of a split's channels: all scores, their stability, and the bytes of each channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from freqprep.engines import Workers
from freqprep.errors import UsageError, did_you_mean
from freqprep.importance.collect import Collected, collect, steps_of
from freqprep.importance.gain import reconstruction_psnr
from freqprep.importance.ranking import BYTES, SCORES, Ranking, Score, bytes_ranking
from freqprep.importance.redundancy import correlation
from freqprep.importance.stability import Stability, stabilities
from freqprep.importance.sums import Sums
from freqprep.spectrum.channels import Selection, published_within
from freqprep.store.split import Split

DEFAULT_SCORE = "visible"
"""Score that gave the best selections; docs/which-channels.md has the comparison."""

DEFAULT_TOP = 24

_LOCAL = Workers()


@dataclass(frozen=True)
class Analysis:
    """Scores of the channels of a split, from one pass over it.

    Attributes
    ----------
    store, split, content_id : str
    images, rejected, blocks, classes : int
        Numbers of valid images, of rejected images, of blocks of one component, and of classes.
    steps : ndarray of float64, shape (192,)
        Quantization steps, raster order; 0 for channels not stored.
    sums : Sums
    channel_bytes : ndarray of float64, shape (192,)
        Measured bytes on disk per image of each channel, raster order.
    rankings : dict of str to Ranking
        Rankings by name of the score.
    unavailable : dict of str to str
        Reasons by name of the score, for scores that this split does not have.
    stability : dict of str to Stability
        Stability by name of the score, without those that the halves of the data do not have.
    """

    store: str
    split: str
    content_id: str
    images: int
    rejected: int
    blocks: int
    classes: int
    steps: np.ndarray
    sums: Sums
    channel_bytes: np.ndarray
    rankings: dict[str, Ranking]
    unavailable: dict[str, str]
    stability: dict[str, Stability]

    @cached_property
    def correlation(self) -> np.ndarray:
        """Correlation of the channels' activities over images, float64 of shape (192, 192)."""
        return correlation(self.sums)

    @cached_property
    def stored(self) -> tuple[int, ...]:
        """Raster indices of the channels stored, rising."""
        return tuple(np.flatnonzero(self.steps > 0).tolist())

    @cached_property
    def published(self) -> tuple[Selection, ...]:
        """The published selections whose channels are all stored."""
        return published_within(self.stored)

    def psnr(self, indices: Iterable[int]) -> float:
        """Return the PSNR of images from some channels, in dB; see `reconstruction_psnr`."""
        return reconstruction_psnr(self.sums, self.steps, indices)

    def bytes_of(self, indices: Iterable[int]) -> float:
        """Return the bytes on disk per image of some channels."""
        return float(self.channel_bytes[list(indices)].sum())

    def error(self, name: str) -> np.ndarray | None:
        """Return the standard errors of a score's values, float64 of shape (192,), or None."""
        stability = self.stability.get(name)
        return self.rankings[name].error if stability is None else stability.error

    def ranking(self, name: str) -> Ranking:
        """Return a ranking by name.

        Raises
        ------
        UsageError
            There is no such score, or this split does not have it.
        """
        if name in self.unavailable:
            raise UsageError(
                f"the score {name!r} cannot be computed for {self.store} {self.split}:"
                f" {self.unavailable[name]}",
                f"use one of: {', '.join(self.rankings)}",
            )
        if name not in self.rankings:
            known = f"known scores: {', '.join(self.rankings)}"
            raise UsageError(f"unknown score {name!r}", did_you_mean(name, self.rankings) + known)
        return self.rankings[name]


def analyse(split: Split, top: int = DEFAULT_TOP, workers: Workers = _LOCAL) -> Analysis:
    """Rank the channels of a split by every score, in one pass over it.

    Parameters
    ----------
    split : Split
    top : int
        Number of top channels whose overlap measures stability.
    workers : Workers, optional
        By default a process of this machine per core.

    Returns
    -------
    Analysis

    Raises
    ------
    StoreError, CorruptStoreError
        See `collect`.
    """
    collected = collect(split, workers)
    sums, steps = collected.sums, steps_of(split)
    total = sums.total()
    rankings: dict[str, Ranking] = {}
    unavailable: dict[str, str] = {}
    for score in SCORES.values():
        try:
            rankings[score.name] = score.ranking(total, steps)
        except UsageError as error:
            unavailable[score.name] = error.message
    rankings[BYTES] = bytes_ranking(_bytes_an_image(collected))
    available: list[Score] = [SCORES[name] for name in rankings if name in SCORES]
    return Analysis(
        store=str(split.path.parent),
        split=split.attributes.split,
        content_id=split.content_id,
        images=int(split.valid.sum()),
        rejected=int((~split.valid).sum()),
        blocks=int(split.blocks.sum()),
        classes=len(split.attributes.class_ids),
        steps=steps,
        sums=sums,
        channel_bytes=rankings[BYTES].values,
        rankings=rankings,
        unavailable=unavailable,
        stability=stabilities(available, sums, steps, top),
    )


def _bytes_an_image(collected: Collected) -> np.ndarray:
    return collected.chunk_bytes / int(collected.sums.images.sum())
