"""The request of a conversion: which source, into which store, and how."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from freqprep import engines
from freqprep.arguments import check_fields
from freqprep.errors import UsageError, did_you_mean
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.sources import SOURCES, SourceOptions, root_of
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, as_path, as_source, take_paths
from freqprep.store.row_order import LARGEST_SEED
from freqprep.store.schema import DEFAULT_LEVEL, check_level

FIT_SIZES = {"coco": 640}
"""Default ``size`` of geometry fit by kind of source; 512 elsewhere."""

DEFAULT_FIT_SIZE, DEFAULT_CROP_SIZE = 512, 448


@dataclass(frozen=True)
class Request:
    """Source, store and options of a conversion.

    Attributes
    ----------
    kind : str
        One of `freqprep.sources.SOURCES`.
    source, store : Path, ObjectPath or str
        A str is a path or a URL, here and below.
    split : str or None
        Convert only this split, or name the split of a source without splits.
    size, resize : int or None
        Pixels; see `freqprep.images.geometry.Geometry`. By default 512 (COCO: 640) for ``fit``,
        and 448 for ``crop``, with a short side of 8/7 of it.
    geometry : {"fit", "crop"}
    precision : Precision
        Steps and dtype of the codes.
    level : int
        Level of zstd, 1 to 22.
    orientation : {"apply", "keep"}
        Whether EXIF orientations are applied, for images whose annotation states no size.
    jobs : int or None
        Number of worker processes; one per core by default.
    engine, address : str, str or None
        Where they are; see `freqprep.engines.Workers`.
    seed : int
        Seed of the row permutation.
    annotations, images, image_column, label_column, class_names : Path, ObjectPath, str or None
        See `freqprep.sources.SourceOptions`.
    classes : tuple of str or int, or None
        Class ids in label order; by default those found.
    resume, overwrite, retry_rejected : bool
        How to treat a split that exists already; at most one of them.
    """

    kind: str
    source: AnyPath
    store: AnyPath
    split: str | None = None
    size: int | None = None
    resize: int | None = None
    geometry: str = "fit"
    precision: Precision = PRECISIONS["int8"]
    level: int = DEFAULT_LEVEL
    orientation: str = "apply"
    jobs: int | None = None
    engine: str = "local"
    address: str | None = None
    seed: int = 0
    classes: tuple[str | int, ...] | None = None
    resume: bool = False
    overwrite: bool = False
    retry_rejected: bool = False
    annotations: AnyPath | None = None
    images: AnyPath | None = None
    image_column: str | None = None
    label_column: str | None = None
    class_names: AnyPath | None = None

    def __post_init__(self) -> None:
        take_paths(self, as_source, "source", "images")
        take_paths(self, as_path, "store", "annotations", "class_names")
        check_fields(self)
        if self.kind not in SOURCES:
            remedy = f"{did_you_mean(self.kind, SOURCES)}use {', '.join(SOURCES)}"
            raise UsageError(f"unknown kind of source {self.kind!r}", remedy)
        self.options.check(self.kind)
        if self.resume + self.overwrite + self.retry_rejected > 1:
            raise UsageError(
                "--resume, --overwrite and --retry-rejected are mutually exclusive",
                "choose one; --resume continues whichever was interrupted",
            )
        if self.retry_rejected and isinstance(self.store, ObjectPath):
            raise UsageError(
                f"--retry-rejected is for stores in a local folder, not {self.store}",
                "convert again with --overwrite",
            )
        check_level(self.level)
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UsageError(f"--seed must be from 0 to {LARGEST_SEED}, got {self.seed}")
        if isinstance(self.classes, str):
            raise UsageError(f"classes is {self.classes!r}, one text", "give a tuple of class ids")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            repeated = sorted({str(c) for c in self.classes if self.classes.count(c) > 1})
            raise UsageError(f"classes listed twice: {', '.join(repeated[:10])}", "list each once")
        _ = self.encoding, self.workers  # check the sizes, and what work is done by

    @property
    def options(self) -> SourceOptions:
        """Options that the user named of the source."""
        return SourceOptions(
            self.annotations,
            self.images,
            self.image_column,
            self.label_column,
            self.class_names,
        )

    @cached_property
    def root(self) -> AnyPath:
        """Folder of the source's files; a bucket is asked once what its pattern or name means."""
        return root_of(self.source)

    @property
    def encoding(self) -> Encoding:
        """Geometry and precision, with defaults filled in."""
        size, resize = self.size, self.resize
        if size is None:
            fit_size = FIT_SIZES.get(self.kind, DEFAULT_FIT_SIZE)
            size = fit_size if self.geometry == "fit" else DEFAULT_CROP_SIZE
        if resize is None and self.geometry == "crop":
            resize = round(size * 8 / 7)
        return Encoding(Geometry(self.geometry, size, resize, self.orientation), self.precision)

    @property
    def workers(self) -> engines.Workers:
        """The worker processes."""
        return engines.Workers(self.jobs, self.engine, self.address)


def read_classes(path: Path, kind: str) -> tuple[str | int, ...]:
    """Read class ids from a text file, one per line.

    Parameters
    ----------
    path : Path
        UTF-8; empty lines are skipped.
    kind : str
        Kind of source; COCO's ids are whole numbers, all others are text.

    Returns
    -------
    tuple of str or int

    Raises
    ------
    UsageError
        The file cannot be read, is not UTF-8, or has an id that is not a whole number.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        ids = [line for line in lines if line]
        return tuple(int(line) for line in ids) if kind == "coco" else tuple(ids)
    except OSError as error:
        raise UsageError(f"--classes {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--classes {path} is not UTF-8 text") from None
    except ValueError:
        raise UsageError(f"--classes {path} has a line that is not a whole number") from None
