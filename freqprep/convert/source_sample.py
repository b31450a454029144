"""Codes of a store's images at fine steps, encoded again from the source.

The statistics measure bytes and distortion by step from them, also at steps finer than the stored
ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from freqprep.convert.shard_task import ImageFiles
from freqprep.convert.unpacking import unpacked
from freqprep.convert.verify_source import plan_again
from freqprep.errors import ImageDefect, SourceChangedError
from freqprep.images.encoder import Encoder
from freqprep.images.encoding import Encoding
from freqprep.importance.rate_distortion import FINE, sampled_shards
from freqprep.sources import root_of
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.quantization import SMALLEST_STEP
from freqprep.storage.paths import AnyPath
from freqprep.store.plan import SplitPlan
from freqprep.store.reader import Split, reopen
from freqprep.store.schema import ROWS_PER_SHARD
from freqprep.text.terminal import quoted

# Coefficients may differ by this beside half a step: decoders of JPEG differ by a grey level, which
# is 8 in the mean of a block. Another image differs by more in some block.
_TOLERANCE = 8.0


@dataclass(frozen=True)
class SourceSample:
    """Fine codes of some shards: called with a shard's number, in a worker.

    Attributes
    ----------
    split_folder : Path or ObjectPath
    content_id : str
    files : mapping of int to ImageFiles
        Image files of the valid rows of each shard.
    """

    split_folder: AnyPath
    content_id: str
    files: Mapping[int, ImageFiles]

    def __call__(self, shard: int) -> np.ndarray:
        """Encode the images of a shard.

        Returns
        -------
        ndarray of int16, shape (192, 128, rows, columns)
            Codes at `freqprep.importance.rate_distortion.FINE`, channels in stored order.

        Raises
        ------
        SourceChangedError
            An image is no longer the one that was converted.
        """
        split = reopen(self.split_folder, self.content_id)
        geometry = split.attributes.encoding.geometry
        encoder = Encoder(Encoding(geometry, FINE))
        codes = np.zeros((CHANNELS, ROWS_PER_SHARD, *geometry.grid), FINE.dtype)
        rows, first = _valid_rows(split, shard), shard * ROWS_PER_SHARD
        with unpacked(self.files[shard]) as files:
            _check_lengths(split, rows, files)
            for row, source_image in zip(rows.tolist(), files.images(), strict=True):
                try:
                    image = source_image.encode(encoder, codes[:, row - first])
                except ImageDefect as defect:
                    raise _changed(split, row, f"is now rejected: {defect}") from None
                if image.size != tuple(split.sizes[row].tolist()):
                    raise _changed(split, row, "is of another size")
        _check_codes(split, shard, codes)
        return codes


def source_sample(split: Split, source: AnyPath, store: AnyPath) -> SourceSample:
    """List the images of the shards that the statistics measure.

    Parameters
    ----------
    split : Split
    source : Path or ObjectPath
        Folder that the store was made from.
    store : Path or ObjectPath

    Returns
    -------
    SourceSample

    Raises
    ------
    SourceError
        The source does not list the images that the split was made from.
    SourceChangedError
        An image has another length than when it was converted.
    """
    plan = plan_again(split, source, store)
    shards = sampled_shards(split)
    files = {shard: _files(split, plan, source, shard) for shard in shards}
    return SourceSample(split.path, split.content_id, files)


def _files(split: Split, plan: SplitPlan, source: AnyPath, shard: int) -> ImageFiles:
    rows = _valid_rows(split, shard)
    files = ImageFiles.of_rows(root_of(source), plan, rows)
    if files.image_column is None:
        _check_lengths(split, rows, files)
    return files


def _check_lengths(split: Split, rows: np.ndarray, files: ImageFiles) -> None:
    other = files.table.length != split.array("source_bytes")[rows]
    if other.any():
        raise _changed(split, int(rows[other][0]), "has another length in bytes")


def _valid_rows(split: Split, shard: int) -> np.ndarray:
    first = shard * ROWS_PER_SHARD
    rows: np.ndarray = first + np.flatnonzero(split.valid[first : first + ROWS_PER_SHARD])
    return rows


def _check_codes(split: Split, shard: int, fine: np.ndarray) -> None:
    """Refuse images whose fine codes are not those that the stored ones were rounded from."""
    encoding, stored = split.attributes.encoding, split.attributes.channels
    limits = np.iinfo(encoding.dtype)
    with split.open_shard(shard) as file:
        for position, codes in file.read(range(len(stored))):
            index = stored[position]
            step = encoding.precision.steps[index]
            apart = np.abs(fine[STORED_POSITION[index]] * SMALLEST_STEP - codes * step)
            apart[(codes == limits.min) | (codes == limits.max)] = 0  # these may be clipped
            far = np.flatnonzero(apart.max(axis=(1, 2)) > step / 2 + _TOLERANCE)
            if far.size:
                row = shard * ROWS_PER_SHARD + int(far[0])
                raise _changed(split, row, "has other codes than are stored")


def _changed(split: Split, row: int, what: str) -> SourceChangedError:
    return SourceChangedError(
        f"{quoted(split.keys[row])} is no longer the image that was converted: it {what}",
        "restore it, or leave out --source",
    )
