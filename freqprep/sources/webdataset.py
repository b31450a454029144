"""Tar shards of samples, as the ``webdataset`` package writes and reads them.

::

    train-000000.tar    n01440764_10026.jpg  n01440764_10026.cls
                        n01440764_10027.jpg  n01440764_10027.cls  ...
    train-000001.tar    ...

A sample is the members in a row with one key: their name up to the first dot of its last part. Its
image is the member ``.jpg``, ``.jpeg``, ``.png`` or ``.webp``; its label is the number in ``.cls``,
or a field of ``.json``. Splits are told by the names of the tars.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from freqprep.errors import SourceError
from freqprep.progress import Progress
from freqprep.ragged import Ragged
from freqprep.sources.class_ids import classes_of, numbered_classes, read_class_names
from freqprep.sources.file_table import FileTable
from freqprep.sources.files import shown
from freqprep.sources.listing import Classes, Discovered, Listing
from freqprep.sources.options import NO_OPTIONS, SourceOptions
from freqprep.sources.sample_labels import LabelRule
from freqprep.sources.source_files import SourceFile, root_of
from freqprep.sources.tar_samples import NO_LABEL, PACK_REMEDY, TarIndex, index_tar
from freqprep.sources.tar_splits import tar_files, tars_by_split
from freqprep.storage.interruptible import in_threads
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural

CLASS_NAMES = "classnames.txt"
"""File beside the tars with the name of each class, as data sets on the Hugging Face hub have."""

_TARS_AT_ONCE = 8
_REMEDY = "name what holds the class with --label-column"


def discover(root: AnyPath, split: str | None, options: SourceOptions = NO_OPTIONS) -> Discovered:
    """List the samples of tar shards; see `freqprep.sources.listing.Source`.

    Rows are in the order of the tars by path, and of the samples in them. A key is that of the
    sample; ``TAR/KEY`` for all rows of a split if any key is in two of its tars. ``TAR`` is the
    tar's path, less its suffix unless that could make two keys one.

    Raises
    ------
    SourceError
        There are no tars or no samples, a tar is damaged or compressed, a sample is ambiguous, or a
        label is missing or malformed.
    """
    splits = tars_by_split(tar_files(root), split, root)
    top, rule = root_of(root), LabelRule(options.label_column)
    every = [file for _, files in splits.values() for file in files]
    indexes = dict(zip([file.path for file in every], _index(top, every, rule), strict=True))
    names, notes = _class_names(top, options)
    parts = {name: [indexes[f.path] for f in files] for name, (_, files) in splits.items()}
    _check_labels(parts, rule)
    classes, order = _classes([index for index in indexes.values() if len(index)], names)
    listings, named = {}, options.texts(top)
    for name, tars in parts.items():
        listing, more = _listing(name, splits[name][0], tars, order)
        listings[name] = dataclasses.replace(listing, options=named)
        notes += more
    if not any(map(len, listings.values())):
        raise SourceError(
            f"no sample with an image in the {plural(len(every), 'tar')} of {root}",
            "look into them: tar -tf X.tar lists KEY.jpg and KEY.cls",
        )
    return Discovered(classes, listings, tuple(notes))


def _index(root: AnyPath, files: Sequence[SourceFile], rule: LabelRule) -> Iterator[TarIndex]:
    calls: list[Callable[[], TarIndex]] = [
        partial(index_tar, root, file.path, rule) for file in files
    ]
    at_once = isinstance(root, ObjectPath)
    found = in_threads(calls, _TARS_AT_ONCE) if at_once else (call() for call in calls)
    with Progress("index", len(files), unit="tar") as progress:
        for index in found:
            yield index
            progress.update(1)


def _class_names(top: AnyPath, options: SourceOptions) -> tuple[list[str] | None, list[str]]:
    if options.class_names is not None:
        return read_class_names(options.class_names), []
    beside = top / CLASS_NAMES
    if beside.is_file():
        return read_class_names(beside), [f"class names are those of {beside}"]
    return None, []


def _check_labels(parts: dict[str, list[TarIndex]], rule: LabelRule) -> None:
    """Refuse splits in which only some samples have a label, or none has the one asked for."""
    for name, tars in parts.items():
        missing = [(index.labels == NO_LABEL).sum() for index in tars]
        apart = next((one for one in tars if rule.parts[0].encode() in one.suffixes), None)
        if 0 < sum(missing) == sum(map(len, tars)) and rule.parts[0] == "cls" and apart:
            raise SourceError(
                f"{shown(apart.path)} has .cls files, and none of them follows its image: no image"
                f" of {name} has a label",
                PACK_REMEDY,
            )
        if rule.column is not None and 0 < sum(missing) == sum(map(len, tars)):
            suffixes = sorted({suffix for index in tars for suffix in index.suffixes})
            raise SourceError(
                f"no sample of {name} has {rule.holder}; there are: "
                + ", ".join(f".{shown(suffix)}" for suffix in suffixes),
                "name another with --label-column, or leave it out; --split chooses one split",
            )
        if 0 < sum(missing) < sum(map(len, tars)):
            index = next(index for index, count in zip(tars, missing, strict=True) if count)
            key = index.keys.bytes_at(int(np.flatnonzero(index.labels == NO_LABEL)[0]))
            raise SourceError(
                f"{sum(missing)} of {plural(sum(map(len, tars)), 'image')} of {name} have no"
                " label, the first"
                f" of them {shown(index.path)}: {shown(key)}",
                f"add the missing .cls, or {_REMEDY}",
            )


def _classes(
    tars: Sequence[TarIndex], names: Sequence[str] | None
) -> tuple[Classes, dict[str, int]]:
    """Return the classes, and the label of each name that is one in the tars."""
    named = [(index, index.texts) for index in tars if index.texts is not None]
    numbered = [index for index in tars if index.texts is None and index.labels.max() >= 0]
    if named and numbered:
        raise SourceError(
            f"labels of {shown(named[0][0].path)} are names ({named[0][1][0]!r}), those of"
            f" {shown(numbered[0].path)} numbers",
            _REMEDY,
        )
    if numbered:
        last = max(numbered, key=lambda index: int(index.labels.max()))
        where = shown(last.path)
        return numbered_classes(int(last.labels.max()), names, where), {}
    if not named:
        return Classes((), ()), {}
    texts = {text: index for index, found in named for text in found}
    order = list(names) if names is not None else sorted(texts)
    positions = {text: label for label, text in enumerate(order)}
    for text, index in texts.items():
        if text not in positions:
            raise SourceError(
                f"{shown(index.path)}: the label {text!r} is none of the {len(order)} class names",
                "give a file with all of them: --class-names FILE",
            )
    return classes_of(order), positions


def _listing(
    name: str, source_name: str, tars: Sequence[TarIndex], order: dict[str, int]
) -> tuple[Listing, list[str]]:
    ignored: Counter[str] = Counter()
    for index in tars:
        ignored.update(index.ignored)
    counts = [len(index) for index in tars]
    paths = Ragged.of_bytes(index.path for index in tars)
    keys, notes = _keys(name, tars)
    labels = _joined([_labels(index, order) for index in tars])
    if len(labels) and labels[0] == NO_LABEL:
        notes.append(f"{name}: images without labels")
    files = FileTable(
        paths=paths.take(np.repeat(np.arange(len(tars)), counts)),
        offset=_joined([index.offset for index in tars]),
        length=_joined([index.length for index in tars]),
        version=np.repeat(np.array([index.version for index in tars], np.int64), counts),
    )
    listing = Listing(
        name=name,
        source_name=source_name,
        keys=keys,
        labels=labels,
        files=files,
        ignored=dict(sorted(ignored.items())),
    )
    return listing, notes


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *arrays])


def _labels(index: TarIndex, order: dict[str, int]) -> np.ndarray:
    if index.texts is None:
        return index.labels
    lookup = np.array([*(order[text] for text in index.texts), NO_LABEL], np.int64)
    labels: np.ndarray = lookup[index.labels]
    return labels


def _keys(name: str, tars: Sequence[TarIndex]) -> tuple[Ragged, list[str]]:
    """Return the key of each sample, and why they are not those of the samples alone."""
    repeated = _repeated(tars)
    if repeated is None:
        lengths = _joined([np.diff(index.keys.offsets) for index in tars])
        values = np.concatenate([index.keys.values for index in tars])
        return Ragged.of_lengths(values, lengths), []
    note = f"{name}: keys repeat, such as {shown(repeated)}: those in the store are TAR/KEY"
    paths = [index.path for index in tars]
    prefixes = [path[:-4] if path.lower().endswith(b".tar") else path for path in paths]
    if _ambiguous(prefixes):
        prefixes = paths
    if two := _ambiguous(prefixes):
        raise SourceError(
            f"keys repeat in {name}, such as {shown(repeated)}, and TAR/KEY would not tell those of"
            f" {shown(two[0])} and {shown(two[1])} apart",
            "rename one of the two tars, or convert them one by one",
        )
    return Ragged.of_bytes(_prefixed(prefixes, tars)), [note]


def _ambiguous(prefixes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Return two tars for which ``PREFIX/KEY`` may be the same; None if there are none.

    Then one of the prefixes is the other, or a folder above it, and so next to it when sorted.
    """
    ordered = sorted(prefix + b"/" for prefix in prefixes)
    pairs = itertools.pairwise(ordered)
    return next(((a[:-1], b[:-1]) for a, b in pairs if b.startswith(a)), None)


def _prefixed(prefixes: Sequence[bytes], tars: Sequence[TarIndex]) -> Iterator[bytes]:
    for prefix, index in zip(prefixes, tars, strict=True):
        for row in range(len(index)):
            yield prefix + b"/" + index.keys.bytes_at(row)


def _repeated(tars: Sequence[TarIndex]) -> bytes | None:
    """Return a key that is in two tars; None if there is none."""
    hashes = np.concatenate([index.hashes for index in tars])
    unique, counts = np.unique(hashes, return_counts=True)
    if len(unique) == len(hashes):
        return None
    suspects = unique[counts > 1]
    seen: set[bytes] = set()
    for index in tars:
        for row in np.flatnonzero(np.isin(index.hashes, suspects, kind="sort")).tolist():
            key = index.keys.bytes_at(row)
            if key in seen:
                return key
            seen.add(key)
    return None
