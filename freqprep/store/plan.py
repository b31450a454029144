"""The plan of a split: every row, shard and file, fixed before work starts.

It is saved beside the unfinished shards, so that a resumed conversion has the same rows even if
the source has gained files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from freqprep.errors import OUTSIDE
from freqprep.images.encoding import Encoding
from freqprep.ragged import Ragged
from freqprep.sources.file_table import FileTable, TableFiles
from freqprep.sources.listing import Listing, Objects
from freqprep.storage.disk import replace_file, sync_file
from freqprep.storage.document_hash import with_hash, without_hash
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, hash_file
from freqprep.storage.regular_file import open_regular, read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.lease import create_alone
from freqprep.store.plan_arrays import load_arrays
from freqprep.store.plan_checks import check_header, check_listing
from freqprep.store.plan_files import load_files
from freqprep.store.row_order import WINDOW_ROWS, PermutedRows, PermutedRuns, RowOrder
from freqprep.store.schema import MOST_SIMPLE_ROWS, ROWS_PER_SHARD, SplitAttributes, shard_shape
from freqprep.store.unreadable import unreadable_plan

_IMAGE_MEMORY = 1400 * 2**20  # 980 MB for a progressive JPEG of 100 Mpx, and its file
_BASE_MEMORY = 350 * 2**20  # of it 130 to load compiled code, 190 to compile it
_MOST_BYTES = 2**27  # of the plan without its rows
_DOCUMENT_BYTES = 45_000
_SMALL_BYTES_PER_IMAGE = 60
_ROW_MEMORY = 600
_ROWS_AT_ONCE = 2**18
_UNPACKING_MEMORY = 512 * 2**20  # half of it row groups of tables, the rest pyarrow


@dataclass(frozen=True)
class SplitPlan:
    """Images of one split, the order of its rows, and their encoding.

    Attributes
    ----------
    attributes : SplitAttributes
        Attributes of the split; ``rejected`` is not known yet and 0.
    listing : Listing
        Images in the source's own order.
    order : RowOrder
        Index into the listing of each row.
    """

    attributes: SplitAttributes
    listing: Listing
    order: RowOrder

    @property
    def shards(self) -> int:
        """Number of shards."""
        return shard_count(len(self.listing))

    def shard_rows(self, shard: int) -> range:
        """Return the rows of one shard."""
        return range(
            shard * ROWS_PER_SHARD, min((shard + 1) * ROWS_PER_SHARD, self.attributes.images)
        )

    def blocks(self) -> Iterator[tuple[range, np.ndarray]]:
        """Yield all rows in turn, some at a time, and their indices into the listing."""
        for first in range(0, len(self.listing), _ROWS_AT_ONCE):
            rows = range(first, min(first + _ROWS_AT_ONCE, len(self.listing)))
            yield rows, self.order.take(rows)


def make_plan(listing: Listing, attributes: SplitAttributes) -> SplitPlan:
    """Give the images of a listing their rows, by the rule for its kind of source.

    Parameters
    ----------
    listing : Listing
    attributes : SplitAttributes
        Those of the plan have the rule.

    Returns
    -------
    SplitPlan

    Raises
    ------
    UsageError
        The seed is out of range.
    """
    window = None if listing.runs is None else WINDOW_ROWS
    attributes = dataclasses.replace(attributes, window=window)
    return SplitPlan(attributes, listing, _order(listing, attributes.seed))


def _order(listing: Listing, seed: int) -> RowOrder:
    if listing.runs is None:
        return PermutedRows(len(listing), seed)
    order = PermutedRuns(listing.runs, seed)
    if len(order) != len(listing):
        raise ValueError(f"{len(listing)} images are listed, but their runs have {len(order)}")
    return order


def shard_count(images: int) -> int:
    """Return the number of shards of a number of images."""
    return -(-images // ROWS_PER_SHARD)


def evenly_spread(count: int, most: int) -> np.ndarray:
    """Return some of the numbers 0 to ``count`` - 1, at most ``most``: all, or evenly spread."""
    spread: np.ndarray = np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))
    return spread


def memory_bound(encoding: Encoding, jobs: int, images: int, unpacking: int = 0) -> int:
    """Return an upper bound of the memory of a conversion, in bytes.

    Each job holds the codes of one shard, one decoded image of the largest size allowed, and the
    libraries. The main process holds the plan and the results, and only they grow with the data
    set: by about 600 bytes per image, and for COCO by the size of its annotations. Of these
    processes ``unpacking`` read the row groups of tables, whose plans and, beyond 2^23 images,
    results are not in memory.
    """
    if unpacking:
        images = min(images, MOST_SIMPLE_ROWS)
    shard = int(np.prod(shard_shape(encoding.geometry))) * encoding.dtype.itemsize
    each = jobs * (shard + _IMAGE_MEMORY + _BASE_MEMORY) + unpacking * _UNPACKING_MEMORY
    return each + _BASE_MEMORY + images * _ROW_MEMORY


def save_plan(plan: SplitPlan, folder: AnyPath) -> None:
    """Write a plan as ``plan.npz`` and then ``plan.json``, which makes it valid."""
    rows = plan.listing
    arrays: dict[str, Any] = {
        "labels": rows.labels,
        **rows.files.columns,
        **_packed("keys", rows.keys),
        **_packed("paths", rows.files.paths),
    }
    if rows.image_ids is not None:
        arrays["image_ids"] = rows.image_ids
    if rows.runs is not None:
        arrays["runs"] = rows.runs
    if rows.stated_sizes is not None:
        arrays["stated_sizes"] = rows.stated_sizes
    if rows.objects is not None:
        fields = {f.name: getattr(rows.objects, f.name) for f in dataclasses.fields(Objects)}
        arrays |= _packed("objects.annotation", fields.pop("annotation"))
        arrays |= {f"objects.{name}": value for name, value in fields.items()}
    path = folder / "plan.npz"
    if isinstance(path, ObjectPath):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        create_alone(path, buffer.getvalue())
        digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    else:
        np.savez(path, **arrays)
        sync_file(path)
        digest = hash_file(path).sha256
    save_attributes(plan.attributes, folder, rows.ignored, rows.options, rows.image_column, digest)


def save_attributes(
    attributes: SplitAttributes,
    folder: AnyPath,
    ignored: Mapping[str, int] | None = None,
    options: Mapping[str, str] | None = None,
    image_column: str | None = None,
    rows_sha256: str | None = None,
) -> None:
    """Write ``plan.json``: of a split whose rows are those of another, it is the whole plan.

    Parameters
    ----------
    attributes : SplitAttributes
    folder : Path or ObjectPath
        Folder of the unfinished split.
    ignored : mapping of str to int, optional
        See `freqprep.sources.listing.Listing`.
    options : mapping of str to str, optional
        From `freqprep.sources.options.SourceOptions.texts`.
    image_column : str, optional
        See `freqprep.sources.listing.Listing`.
    rows_sha256 : str, optional
        Hash of ``plan.npz``: in a bucket two commands might each have written one of the two files.
    """
    header: dict[str, Any] = {
        "attributes": attributes.to_dict(),
        "ignored": dict(ignored or {}),
        "options": dict(options or {}),
        "image_column": image_column,
    }
    if rows_sha256 is not None:
        header["rows_sha256"] = rows_sha256
    data = (json.dumps(with_hash(header), indent=1) + "\n").encode()
    if isinstance(folder, ObjectPath):
        create_alone(folder / "plan.json", data)
        return
    replace_file(folder / "plan.json", data)


def load_plan(folder: AnyPath) -> SplitPlan:
    """Read a plan that `save_plan` wrote.

    Raises
    ------
    CorruptStoreError
        The plan is missing or damaged, so the conversion cannot be resumed.
    StoreError
        It may be whole: too many files are open, memory ran out, or it may not be read.
    """
    header = _load_header(folder)
    attributes = header.attributes
    try:
        with _open_rows(folder, header) as file:
            data = load_arrays(file) | load_files(folder)
        listing = Listing(
            name=attributes.split,
            source_name=attributes.source_split,
            keys=_unpacked("keys", data),
            labels=data["labels"],
            files=_load_file_table(data),
            image_ids=data.get("image_ids"),
            stated_sizes=data.get("stated_sizes"),
            objects=_load_objects(data),
            ignored=header.ignored,
            options=header.options,
            image_column=header.image_column,
            runs=data.get("runs"),
        )
        check_listing(listing, attributes.images, len(attributes.class_ids))
        order = _order(listing, attributes.seed)
        if "listing_index" in data:  # up to 0.1 the images were in row order
            listing = listing.take(_listed(data["listing_index"], order))
        return SplitPlan(attributes, listing, order)
    except OUTSIDE:
        raise
    except Exception as error:  # of numpy, zipfile and zlib, of many types
        raise unreadable_plan(folder, error) from None


def _listed(listing_index: np.ndarray, order: RowOrder) -> np.ndarray:
    """Return the row of each image of a listing."""
    if not np.array_equal(listing_index, order.take(range(len(order)))):
        raise ValueError("its rows do not follow their rule")
    return np.argsort(listing_index)


def load_attributes(folder: AnyPath) -> SplitAttributes:
    """Return the attributes of a saved plan, without its rows; errors as in `load_plan`."""
    return _load_header(folder).attributes


def check_plan(folder: AnyPath) -> SplitAttributes:
    """Return what `load_attributes` does, and compare the rows of the plan with their hash."""
    header = _load_header(folder)
    if header.attributes.packed is None:  # a packed split has the rows of another
        try:
            _open_rows(folder, header).close()
        except OUTSIDE:
            raise
        except (OSError, ValueError) as error:
            raise unreadable_plan(folder, error) from None
    return header.attributes


def load_options(folder: AnyPath) -> dict[str, str]:
    """Return the source's options of a saved plan, as texts; errors as in `load_plan`."""
    return _load_header(folder).options


@dataclass(frozen=True)
class _Header:
    attributes: SplitAttributes
    ignored: dict[str, int]
    options: dict[str, str]
    image_column: str | None
    rows_sha256: str | None


def _load_header(folder: AnyPath) -> _Header:
    try:
        header = without_hash(parse(read_regular(folder / "plan.json", _MOST_BYTES)))
        check_header(header)
        return _Header(
            SplitAttributes.from_dict(header["attributes"]),
            dict(header["ignored"]),
            dict(header.get("options", header.get("named_paths", {}))),  # the latter up to 0.1
            header.get("image_column"),
            header.get("rows_sha256"),
        )
    except OUTSIDE:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise unreadable_plan(folder, error) from None


def _open_rows(folder: AnyPath, header: _Header) -> IO[bytes]:
    path = folder / "plan.npz"
    if isinstance(path, Path):
        if header.rows_sha256 not in (None, hash_file(path).sha256):  # None up to 0.1
            raise ValueError("plan.npz is not the one that was planned")
        return open(open_regular(path), "rb")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != header.rows_sha256:
        raise ValueError("plan.npz is not the one that was planned")
    return io.BytesIO(data)


def _load_file_table(data: dict[str, np.ndarray]) -> FileTable | TableFiles:
    paths = _unpacked("paths", data)
    version = data["version" if "version" in data else "mtime_ns"]  # the latter up to 0.1
    if "rows" in data:
        return TableFiles(paths, data["rows"], version)
    return FileTable(paths, data["offset"], data["length"], version)


def _load_objects(data: dict[str, np.ndarray]) -> Objects | None:
    if "objects.offsets" not in data:
        return None
    names = [f.name for f in dataclasses.fields(Objects) if f.name != "annotation"]
    fields = {name: data[f"objects.{name}"] for name in names}
    return Objects(**fields, annotation=_unpacked("objects.annotation", data))


def _packed(name: str, ragged: Ragged) -> dict[str, np.ndarray]:
    return {f"{name}.values": ragged.values, f"{name}.offsets": ragged.offsets}


def _unpacked(name: str, data: dict[str, np.ndarray]) -> Ragged:
    return Ragged(data[f"{name}.values"], data[f"{name}.offsets"])


def estimated_bytes(images: int, shard_bytes_per_image: float) -> int:
    """Estimate the bytes of a finished split: shards, documents and small arrays."""
    beside = _DOCUMENT_BYTES + images * _SMALL_BYTES_PER_IMAGE
    return int(images * shard_bytes_per_image) + beside
