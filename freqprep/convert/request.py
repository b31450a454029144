"""What a user asks of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freqprep import engines
from freqprep.errors import UsageError, did_you_mean
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.sources import SOURCES
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.plan import LARGEST_SEED

FIT_SIZES = {"coco": 640}
"""Default ``size`` of geometry fit by kind of source; 512 elsewhere."""

DEFAULT_FIT_SIZE, DEFAULT_CROP_SIZE = 512, 448


@dataclass(frozen=True)
class Request:
    """What to convert, and how.

    Attributes
    ----------
    kind : str
        ``imagefolder``, ``imagenet`` or ``coco``.
    source, store : Path
    split : str or None
        Only this split, or the name of a source without splits.
    size, resize : int or None
        See `freqprep.images.geometry.Geometry`. None: 512 (COCO 640) for fit, 448 for crop with the
        short side at 8/7 of it.
    geometry : {"fit", "crop"}
    precision : {"int8", "int16"}
    orientation : {"apply", "keep"}
        Of images whose annotation states no size.
    jobs : int or None
        Worker processes; None for one a core.
    seed : int
        Of the row permutation.
    annotations, images : Path or None
        COCO's annotation file and the folder of its images, where they are not found by themselves.
    classes : tuple of str or int, or None
        Class ids in label order; None takes those found.
    resume, overwrite, retry_rejected : bool
        What to do with a split that is there already.
    """

    kind: str
    source: Path
    store: Path
    split: str | None = None
    size: int | None = None
    resize: int | None = None
    geometry: str = "fit"
    precision: str = "int8"
    orientation: str = "apply"
    jobs: int | None = None
    seed: int = 0
    classes: tuple[str | int, ...] | None = None
    resume: bool = False
    overwrite: bool = False
    retry_rejected: bool = False
    annotations: Path | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in SOURCES:
            remedy = f"{did_you_mean(self.kind, SOURCES)}use {', '.join(SOURCES)}"
            raise UsageError(f"unknown kind of source {self.kind!r}", remedy)
        if self.kind != "coco" and self.named:
            options = " and ".join(f"--{option}" for option in self.named)
            raise UsageError(
                f"{options} with {self.kind}: only coco has annotation files", "leave it out"
            )
        if self.resume + self.overwrite + self.retry_rejected > 1:
            raise UsageError(
                "resume, overwrite and retry-rejected exclude one another",
                "choose one; resume goes on with whichever was stopped",
            )
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs must be at least 1, got {self.jobs}")
        if self.precision not in PRECISIONS:
            remedy = f"{did_you_mean(self.precision, PRECISIONS)}use {', '.join(PRECISIONS)}"
            raise UsageError(f"unknown precision {self.precision!r}", remedy)
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"seed {self.seed} cannot be used", f"use 0 to {LARGEST_SEED}")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            repeated = sorted({str(c) for c in self.classes if self.classes.count(c) > 1})
            raise UsageError(f"classes listed twice: {', '.join(repeated[:10])}", "list each once")
        _ = self.encoding  # refuses sizes

    @property
    def named(self) -> dict[str, Path]:
        """``annotations`` and ``images``, where given."""
        given = {"annotations": self.annotations, "images": self.images}
        return {option: path for option, path in given.items() if path is not None}

    @property
    def encoding(self) -> Encoding:
        """Geometry and precision with the defaults filled in."""
        size, resize = self.size, self.resize
        if size is None:
            fit_size = FIT_SIZES.get(self.kind, DEFAULT_FIT_SIZE)
            size = fit_size if self.geometry == "fit" else DEFAULT_CROP_SIZE
        if resize is None and self.geometry == "crop":
            resize = round(size * 8 / 7)
        return Encoding(Geometry(self.geometry, size, resize, self.orientation), self.precision)

    @property
    def workers(self) -> int:
        """Worker processes."""
        return self.jobs or engines.default_jobs()
