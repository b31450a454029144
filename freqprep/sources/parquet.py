"""Parquet: tables with images in them, as the Hugging Face hub has them.

::

    ROOT/data/train-00000-of-00294.parquet         several splits, told apart by file name
    ROOT/default/train/0000.parquet                the hub's own conversion
    ROOT/train.parquet
    ROOT/anything.parquet                          one split

An image is a struct with its bytes and path, or a column of bytes. Rows are in the order of the
files by name, and in each file as they are there. No image is read, except the sizes of some where
objects are annotated and no sizes are stated.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from freqprep.errors import SourceError, some
from freqprep.ragged import Ragged
from freqprep.sources.box_form import box_form_doubts
from freqprep.sources.class_ids import read_class_names
from freqprep.sources.file_table import TableFiles
from freqprep.sources.imagenet_labels import WNID
from freqprep.sources.listing import Classes, Discovered, Doubt, Listing, choose_splits
from freqprep.sources.options import NO_OPTIONS, SourceOptions
from freqprep.sources.parquet_keys import image_ids, row_keys
from freqprep.sources.parquet_labels import Indexed, Values, index_categories, index_labels
from freqprep.sources.parquet_objects import categories, read_objects
from freqprep.sources.parquet_parts import Part, read_parts
from freqprep.sources.parquet_shards import check_numbers
from freqprep.sources.parquet_sizes import sampled_sizes, stated_sizes
from freqprep.sources.parquet_splits import name_splits
from freqprep.sources.source_files import SourceFile, root_of, source_files
from freqprep.storage.paths import AnyPath
from freqprep.storage.scratch import joined
from freqprep.text.quantities import plural


def discover(root: AnyPath, split: str | None, options: SourceOptions = NO_OPTIONS) -> Discovered:
    """List the splits of Parquet tables; see `freqprep.sources.listing.Source`.

    Parameters
    ----------
    root : Path or ObjectPath
        Folder, file or pattern of files.
    split : str or None
        See `freqprep.sources.listing.Source`.
    options : SourceOptions
        ``image_column``, ``label_column`` and ``class_names``.

    Returns
    -------
    Discovered

    Raises
    ------
    SourceError
        There are no tables or no split ``split``, a table is damaged, columns are not found, labels
        have no names, boxes are not those of COCO, or no row has an image.
    """
    folder = root_of(root)
    files = source_files(root, (".parquet",))
    names, notes = name_splits(files, folder)
    named = {name for name in names.values() if name is not None}
    chosen = choose_splits(named, split, folder) if named else {split or "train": None}
    mine = {
        name: [file for file in files if names[file.path] == source_name]
        for name, source_name in chosen.items()
    }
    for name, its_files in mine.items():
        paths = [file.path for file in its_files]
        notes += check_numbers(chosen[name] or name, paths, folder, is_whole=folder == root)
    parts, others = _parts(folder, files, mine, options)
    for name, found in parts.items():
        _refuse_without_rows(chosen[name] or name, found)
    together = [part for found in parts.values() for part in found]
    classes, labels = _index([*together, *others], options)
    notes += _about(classes, together)
    doubts: list[Doubt] = []
    listings, its = {}, iter(labels)
    for name, found in parts.items():
        fields, more, why = _listing(
            folder, chosen[name] or name, found, list(itertools.islice(its, len(found))), classes
        )
        listings[name] = Listing(name=name, options=options.texts(folder), **fields)
        notes += more
        doubts += why
    return Discovered(classes, listings, tuple(notes), tuple(doubts))


def _parts(
    folder: AnyPath,
    files: Sequence[SourceFile],
    chosen: Mapping[str, Sequence[SourceFile]],
    options: SourceOptions,
) -> tuple[dict[str, list[Part]], list[Part]]:
    """Read the files of the splits chosen; those of others only where they may have more classes.

    Returns
    -------
    parts : dict of str to list of Part
        Of each split.
    others : list of Part
    """
    mine = [file for found in chosen.values() for file in found]
    read = iter(read_parts(folder, mine, options))
    parts = {name: list(itertools.islice(read, len(found))) for name, found in chosen.items()}
    first = next(found[0] for found in parts.values())
    paths = {file.path for file in mine}
    rest = [file for file in files if file.path not in paths]
    if not rest or first.columns.names is not None or options.class_names is not None:
        return parts, []
    try:
        return parts, read_parts(folder, rest, options, first)
    except SourceError as error:
        raise SourceError(
            f"{error.message} (a file of another split than {', '.join(chosen)}, read for the"
            " classes of all)",
            f"name the files of {', '.join(chosen)} with a pattern, or give --class-names FILE",
        ) from error


def _index(parts: Sequence[Part], options: SourceOptions) -> Indexed:
    """Return the classes of all splits, and the labels of images, or of objects, of each file."""
    columns = parts[0].columns
    names: Sequence[str] | None = columns.names
    named_in = parts[0].where
    if options.class_names is not None:
        names, named_in = read_class_names(options.class_names), str(options.class_names)
    if columns.label is None:
        found = [Values(part.where, categories(part)) for part in parts]
        return index_categories(found, columns.numbered, names, named_in)
    found = [Values(part.where, part.values[columns.label]) for part in parts]
    return index_labels(found, columns.numbered, names, named_in)


def _about(classes: Classes, parts: Sequence[Part]) -> list[str]:
    columns, notes = parts[0].columns, []
    names = columns.names
    if names is not None and classes.ids != names and WNID.match(str(classes.ids[0]).encode()):
        notes.append(f"the {len(names)} class names are ImageNet's: class ids are wnids")
    if unused := list(dict.fromkeys(name for part in parts for name in part.unused)):
        used = dict.fromkeys((columns.image, *columns.read))
        keys = "" if columns.path else f"; keys are FILE:ROW, as {columns.image} has no paths"
        notes.append(f"columns that are used: {', '.join(used)}; not: {some(unused)}{keys}")
    return notes


def _listing(
    root: AnyPath,
    source_name: str,
    parts: Sequence[Part],
    labels: Sequence[np.ndarray],
    classes: Classes,
) -> tuple[dict[str, Any], list[str], tuple[Doubt, ...]]:
    columns = parts[0].columns
    files = _table_files(parts)
    _refuse_without_images(source_name, parts)
    notes: list[str] = []
    doubts: tuple[Doubt, ...] = ()
    label = np.full(len(files), -1, np.int64) if columns.objects else joined(labels, np.int64)
    without = sum(int((part < 0).sum()) for part in labels)
    if without and not columns.objects:
        notes.append(f"{source_name}: {without} of {plural(len(files), 'row')} have no label")
    keys, more = row_keys(parts, label, classes.ids, source_name)
    notes += more
    fields = {
        "source_name": source_name,
        "keys": keys,
        "labels": label,
        "files": files,
        "image_column": columns.image,
        "runs": np.concatenate([part.groups for part in parts]),
    }
    if columns.objects:
        sizes, (ids, why) = stated_sizes(parts), image_ids(parts, source_name)
        objects, more = read_objects(parts, labels, list(map(int, classes.ids)), ids)
        notes += [*why, *more]
        if sizes is not None:
            known = (np.arange(len(files)), sizes)
        else:
            known = sampled_sizes(root, files, columns.image, np.diff(objects.offsets) > 0)
        how = "for example with dataset.map and to_parquet"
        more_notes, doubts = box_form_doubts(objects, *known, parts[0].where, how)
        notes += more_notes
        fields |= {"stated_sizes": sizes, "image_ids": ids, "objects": objects}
    return fields, notes, doubts


def _table_files(parts: Sequence[Part]) -> TableFiles:
    return TableFiles(
        Ragged.of_bytes(part.file.path for part in parts),
        np.array([part.rows for part in parts], np.int64),
        np.array([part.file.version for part in parts], np.int64),
    )


def _refuse_without_rows(split: str, parts: Sequence[Part]) -> None:
    if not any(part.rows for part in parts):
        raise SourceError(f"the tables of {split} have no rows: {parts[0].where}", "name others")


def _refuse_without_images(split: str, parts: Sequence[Part]) -> None:
    if not any(part.has_images for part in parts):
        raise SourceError(
            f"no row of {split} has the bytes of an image, only paths: {parts[0].where}",
            "put them in before to_parquet: dataset.with_format('arrow').map("
            "datasets.table.embed_table_storage, batched=True, batch_size=100)",
        )
