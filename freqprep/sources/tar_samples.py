"""Samples in a tar shard: members in a row with the same name up to its first dot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

from freqprep.errors import SourceError, some
from freqprep.ragged import Ragged
from freqprep.sources import archives
from freqprep.sources.archives import Member
from freqprep.sources.files import extension, open_file, opened_status, shown
from freqprep.sources.folders import is_hidden, not_an_image
from freqprep.sources.sample_labels import LARGEST_PART, Label, LabelRule
from freqprep.sources.tar_splits import MAGIC_BYTES, refuse_compressed
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural

IMAGES = ("jpg", "jpeg", "png", "webp")
"""Suffixes of the images of samples."""

NO_LABEL = -1
"""In `TarIndex.labels`, for a sample without a label."""

_MANY_DOTS = "image whose name has more than one dot"
PACK_REMEDY = (
    "pack it again with the files of each sample in a row: tar --sort=name -cf X.tar -C DIR ."
)


@dataclass(frozen=True)
class TarIndex:
    """Samples of one tar that have an image, in its order.

    Attributes
    ----------
    path : bytes
        As in `freqprep.sources.file_table.FileTable`.
    version : int
    keys : Ragged of uint8
        Names of the members up to the first dot of the last part, unique.
    hashes : ndarray of int64, shape (n,)
        Hashes of the keys, for this process.
    offset, length : ndarray of int64, shape (n,)
        Bytes of the images.
    labels : ndarray of int64, shape (n,)
        Numbers of classes, or indices into ``texts``; `NO_LABEL` for none.
    texts : tuple of str or None
        Names of classes if labels are names.
    suffixes : frozenset of bytes
        Suffixes of the files of samples, without their dots, in lower case.
    ignored : Counter
        What is not an image or a label: description -> count.
    """

    path: bytes
    version: int
    keys: Ragged
    hashes: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    labels: np.ndarray
    texts: tuple[str, ...] | None
    suffixes: frozenset[bytes]
    ignored: Counter[str]

    def __len__(self) -> int:
        return len(self.offset)


class _Row(NamedTuple):
    key: bytes
    start: int
    length: int
    label: Label | None


@dataclass
class _Sample:
    """Members with the same key; ``parts`` are the contents of those that may hold the label.

    Its text names it in messages.
    """

    archive: bytes
    key: bytes
    images: list[Member] = field(default_factory=list)
    suffixes: set[bytes] = field(default_factory=set)
    parts: dict[str, bytes] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{shown(self.archive)}: {shown(self.key)}"


def index_tar(root: AnyPath, path: bytes, rule: LabelRule) -> TarIndex:
    """List the samples of a tar, by its headers and the small members with labels.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder of the source's files.
    path : bytes
        Path of the tar, relative to ``root``.
    rule : LabelRule

    Returns
    -------
    TarIndex

    Raises
    ------
    SourceError
        The tar is damaged, compressed, or has members that no sample can have; or a label is
        malformed.
    """
    ignored: Counter[str] = Counter()
    suffixes: set[bytes] = set()
    with open_file(root, path) as file:
        status = opened_status(file)
        refuse_compressed(path, file.read(MAGIC_BYTES))
        span = archives.Span(path, 0, status.length)
        rows = [
            row
            for sample in _samples(file, span, rule, ignored, suffixes)
            if (row := _row(sample, rule, ignored)) is not None
        ]
    if not rows and ignored[_MANY_DOTS]:
        raise SourceError(
            f"no sample of {shown(path)} has an image: {plural(ignored[_MANY_DOTS], 'image')} have"
            " names with more than one dot, and a key ends at the first",
            "pack it again with one dot in each name, such as n01_v1_1.jpg for n01.v1_1.jpg",
        )
    if not rows:
        ignored["tar without an image"] += 1
    keys = [row.key for row in rows]
    hashes = np.array([hash(key) for key in keys], np.int64)
    _refuse_repeated(keys, hashes, shown(path))
    labels, texts = _labels([row.label for row in rows], shown(path))
    return TarIndex(
        path=path,
        version=status.version,
        keys=Ragged.of_bytes(keys),
        hashes=hashes,
        offset=np.array([row.start for row in rows], np.int64),
        length=np.array([row.length for row in rows], np.int64),
        labels=labels,
        texts=texts,
        suffixes=frozenset(suffixes),
        ignored=ignored,
    )


def _samples(
    file: BinaryIO,
    span: archives.Span,
    rule: LabelRule,
    ignored: Counter[str],
    suffixes: set[bytes],
) -> Iterator[_Sample]:
    images = {suffix.encode() for suffix in IMAGES}
    parts = {suffix.encode(): suffix for suffix in rule.parts}
    preferred = next(iter(parts))
    sample: _Sample | None = None
    for member in archives.entries(file, span):
        _refuse_outside(member, span)
        folder, slash, name = member.name.rpartition(b"/")
        stem, _, suffix = name.partition(b".")
        key, suffix = folder + slash + stem, suffix.lower()
        if is_hidden(name) or _is_apart(folder):
            ignored["hidden or system file"] += 1
            continue
        if not suffix:
            ignored["of no sample"] += 1
            continue
        if sample is None or key != sample.key:
            if sample is not None:
                yield sample
            sample = _Sample(span.archive, key)
        kind = extension(name)
        if suffix == kind:
            suffixes.add(kind)
        if suffix not in images and suffix not in parts:
            ignored[_MANY_DOTS if kind in images else not_an_image(name)] += 1
            continue
        _check(member, suffix in sample.suffixes, span)
        sample.suffixes.add(suffix)
        if suffix in images:
            sample.images.append(member)
        elif not sample.parts or suffix == preferred:
            sample.parts[parts[suffix]] = _content(file, member, span)
    if sample is not None:
        yield sample


@lru_cache
def _is_apart(folder: bytes) -> bool:
    """Return whether what is in a folder belongs to no sample: hidden, or ``__meta__``."""
    top, *_ = parts = folder.split(b"/")
    is_meta = len(top) >= 4 and top.startswith(b"__") and top.endswith(b"__")
    return is_meta or any(map(is_hidden, parts))


def _where(member: Member, span: archives.Span) -> str:
    return f"{shown(span.archive)}: the member {shown(member.name)}"


def _refuse_outside(member: Member, span: archives.Span) -> None:
    if member.name.startswith(b"/") or b".." in member.name.split(b"/"):
        raise SourceError(
            f"{_where(member, span)} has a name that leads out of the archive",
            "pack it again with names relative to a folder: tar -cf X.tar -C DIR .",
        )


def _check(member: Member, repeated: bool, span: archives.Span) -> None:
    if member.kind:
        is_sparse = member.kind == archives.SPARSE
        options = "without --sparse" if is_sparse else "with --dereference --hard-dereference"
        raise SourceError(
            f"{_where(member, span)} is a {member.kind}, not a file with bytes of its own",
            f"pack it again by tar {options}",
        )
    if repeated:
        raise SourceError(f"{_where(member, span)} is there twice", PACK_REMEDY)


def _content(file: BinaryIO, member: Member, span: archives.Span) -> bytes:
    if member.length > LARGEST_PART:
        raise SourceError(
            f"{_where(member, span)} has {member.length} bytes; at most {LARGEST_PART} are read for"
            " a label",
            "name what holds the class with --label-column",
        )
    file.seek(member.start)
    return file.read(member.length)


def _row(sample: _Sample, rule: LabelRule, ignored: Counter[str]) -> _Row | None:
    if not sample.images:
        ignored["sample without an image"] += 1
        return None
    if len(sample.images) > 1:
        names = some([shown(image.name) for image in sample.images])
        raise SourceError(f"{sample} has several images: {names}", "keep one image in each sample")
    image = sample.images[0]
    return _Row(sample.key, image.start, image.length, rule.label(sample.parts, sample))


def _refuse_repeated(keys: list[bytes], hashes: np.ndarray, path: str) -> None:
    if len(np.unique(hashes)) == len(keys):
        return
    counts = Counter(keys)
    if repeated := [key for key, count in counts.items() if count > 1]:
        raise SourceError(
            f"{path} has {plural(len(repeated), 'key')} more than once, the first of them"
            f" {shown(repeated[0])}",
            PACK_REMEDY,
        )


def _labels(labels: list[Label | None], path: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    texts = [label for label in labels if isinstance(label, str)]
    known = [label for label in labels if label is not None]
    if texts and len(texts) < len(known):
        number = next(label for label in known if isinstance(label, int))
        raise SourceError(
            f"{path}: some labels are names ({texts[0]!r}), others numbers ({number})",
            "name what holds the class with --label-column",
        )
    names = tuple(dict.fromkeys(texts))
    index = {name: position for position, name in enumerate(names)}
    values = [
        NO_LABEL if label is None else index[label] if isinstance(label, str) else label
        for label in labels
    ]
    return np.array(values, np.int64), names if texts else None
