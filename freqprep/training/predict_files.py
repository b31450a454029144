"""Image files encoded as in conversion, for prediction."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.errors import ImageDefect, SourceChangedError, SourceError
from freqprep.images.decode import MAX_FILE_BYTES
from freqprep.images.encoder import Encoder
from freqprep.progress import say
from freqprep.sources import folders
from freqprep.sources.file_table import WHOLE_FILE
from freqprep.sources.files import read_image_bytes, shown
from freqprep.sources.tree import LocalTree
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.storage.paths import local_path
from freqprep.text.terminal import read_escapes
from freqprep.training.model_config import ModelConfig

__all__ = ["Failure", "find_images"]


@dataclass(frozen=True)
class Failure:
    """A file without a prediction.

    Attributes
    ----------
    path : bytes
    defect : ImageDefect
        Why it cannot be used; the reason is one of `freqprep.images.decode.REASONS`.
    """

    path: bytes
    defect: ImageDefect

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return {
            "path": os.fsdecode(self.path),
            "reason": self.defect.reason,
            "detail": self.defect.detail,
        }


@dataclass(frozen=True, eq=False)
class ImageCodes:
    """One image, encoded.

    Attributes
    ----------
    codes : ndarray of int8 or int16, shape (channels read, rows, columns)
    size, source : tuple of int
        Height and width: in stored pixels, and in the file's, its orientation dealt with.
    """

    codes: np.ndarray
    size: tuple[int, int]
    source: tuple[int, int]


class FileEncoder:
    """Encoder of image files, as in the conversion of the network's own store.

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        encoding = config.encoding
        self._encoder = Encoder(encoding)
        self._all = np.zeros((CHANNELS, *encoding.geometry.grid), encoding.dtype)
        self._read = [STORED_POSITION[index] for index in config.inputs.read_selection.indices]

    def encode(self, data: bytes) -> ImageCodes:
        """Encode the bytes of a file.

        Raises
        ------
        ImageDefect
            There are none.
        """
        image = self._encoder.encode(data, None, self._all)
        return ImageCodes(self._all[self._read], image.size, image.source_size)


def find_images(places: Sequence[str | Path] | str | Path) -> list[bytes]:
    """Find the files of some paths: of a folder all images in and below it, sorted.

    What is an image in a folder is decided as in converting; what is no folder is taken as it is.
    A path may be as it is printed, with escapes for what cannot be printed.

    Parameters
    ----------
    places : str or Path, or a sequence of them

    Returns
    -------
    list of bytes
        Paths of files.

    Raises
    ------
    SourceError
        Nothing but folders without images, or a folder that cannot be listed.
    """
    found: list[bytes] = []
    for given in [places] if isinstance(places, str | Path) else places:
        given = local_path(given)
        as_printed = Path(read_escapes(str(given)))
        is_printed = not os.path.lexists(given) and os.path.lexists(as_printed)
        place = as_printed if is_printed else given
        if not os.path.isdir(place):
            found.append(os.fsencode(place))
            continue
        ignored: Counter[str] = Counter()
        tree = LocalTree(place)
        inside = sorted(image.path for image in folders.images(tree, folders.top(tree), ignored))
        if not inside:
            say(f"note: no image in {shown(os.fsencode(place))}")
        found += [os.path.join(os.fsencode(place), path) for path in inside]
    if not found:
        raise SourceError("there is no image to answer for", "name image files, or their folder")
    return found


def bytes_of(path: bytes) -> bytes:
    """Read a file.

    Raises
    ------
    ImageDefect
        It cannot be read, or is too large.
    """
    length, changed = 0, 0  # of what is no file: reading then says what it is
    with contextlib.suppress(OSError):
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode):
            length, changed = status.st_size, status.st_mtime_ns
    try:
        return read_image_bytes(Path(), path, WHOLE_FILE, length, changed, MAX_FILE_BYTES)
    except SourceChangedError:
        raise ImageDefect("unreadable", "it is being changed") from None
