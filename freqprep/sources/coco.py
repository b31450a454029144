"""COCO: images with annotated objects.

::

    ROOT/annotations/instances_NAME.json
    ROOT/NAME/FILE_NAME  or  ROOT/images/NAME/FILE_NAME
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from freqprep.errors import SourceError
from freqprep.ragged import Ragged
from freqprep.sources import folders
from freqprep.sources.coco_annotations import (
    Annotations,
    read_annotations,
    read_categories,
    rows_of,
)
from freqprep.sources.folders import Folder
from freqprep.sources.listing import (
    Classes,
    Discovered,
    Listing,
    Objects,
    choose_splits,
    file_table,
    normalise_split,
)

_ANNOTATION_FILE = re.compile(r"instances_([^.].*)\.json")


def discover(root: Path, split: str | None) -> Discovered:
    """List the splits with annotations under ``root``; see `freqprep.sources.listing.Source`.

    Rows are in the order of the image ids; an image's objects in that of the annotation file.
    An image that is listed but not there keeps its row, to be rejected.

    Raises
    ------
    SourceError
        There are no annotations or no such split, an image folder is missing, or an annotation
        file is malformed.
    """
    top = folders.top(root)
    annotation_files = _annotation_files(root)
    chosen = choose_splits(annotation_files, split, root)
    image_folders = {name: _image_folder(root, top, chosen[name]) for name in sorted(chosen)}
    annotations = {name: read_annotations(annotation_files[chosen[name]]) for name in chosen}
    categories = {
        path: annotations[normalise_split(source_name)].categories
        if source_name in chosen.values()
        else read_categories(path)
        for source_name, path in annotation_files.items()
    }
    classes = _classes(categories)
    listings = {
        name: _listing(root, name, chosen[name], folder, annotations.pop(name), classes)
        for name, folder in image_folders.items()
    }
    return Discovered(classes, listings)


def _annotation_files(root: Path) -> dict[str, Path]:
    folder = root / "annotations"
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if match := _ANNOTATION_FILE.fullmatch(path.name):
            found[match[1]] = path
    if not found:
        raise SourceError(
            f"no annotations in {root}: looked for {folder}/instances_*.json",
            "name the folder that holds 'annotations' and the image folders",
        )
    return found


def _image_folder(root: Path, top: Folder, source_name: str) -> Folder:
    for path in (Path(source_name), Path("images", source_name)):
        if found := folders.below(root, top, bytes(path)):
            return found
    raise SourceError(
        f"no images for annotations/instances_{source_name}.json in {root}: neither the folder"
        f" {source_name} nor images/{source_name} is there",
        "add the images, or choose another split with --split",
    )


def _classes(categories: Mapping[Path, Mapping[int, str]]) -> Classes:
    names: dict[int, str] = {}
    for path, in_file in categories.items():
        for id_, name in in_file.items():
            if names.setdefault(id_, name) != name:
                raise SourceError(
                    f"{path} calls category {id_} {name!r}, but another annotation file"
                    f" {names[id_]!r}",
                    "convert the splits into separate stores, or give the category one name",
                )
    ids = sorted(names)
    return Classes(tuple(ids), tuple(names[id_] for id_ in ids))


def _listing(
    root: Path,
    name: str,
    source_name: str,
    folder: Folder,
    annotations: Annotations,
    classes: Classes,
) -> Listing:
    order = np.argsort(annotations.image_id)
    keys = [annotations.file_name[row] for row in order]
    image_ids = annotations.image_id[order]
    objects, unlisted = _objects(annotations, image_ids, classes)
    ignored = _ignored(root, folder, set(keys))
    ignored["annotation of an unlisted image"] = unlisted
    return Listing(
        name=name,
        source_name=source_name,
        keys=Ragged.of_bytes(keys),
        labels=np.full(len(keys), -1, np.int64),
        files=file_table(root, [folder.path + b"/" + key for key in keys]),
        image_ids=image_ids,
        stated_sizes=annotations.size[order],
        objects=objects,
        ignored={what: number for what, number in sorted(ignored.items()) if number},
    )


def _objects(
    annotations: Annotations, image_ids: np.ndarray, classes: Classes
) -> tuple[Objects, int]:
    """Objects grouped by image, and how many belong to no listed image."""
    row, listed = rows_of(image_ids, annotations.object_image)
    order = np.argsort(row, kind="stable")  # stable: keeps the file's order within an image
    order = order[listed[order]]
    offsets = np.zeros(len(image_ids) + 1, np.int64)
    np.cumsum(np.bincount(row[order], minlength=len(image_ids)), out=offsets[1:])
    label, _ = rows_of(np.array(classes.ids, np.int64), annotations.category[order])
    objects = Objects(
        offsets=offsets,
        box=annotations.box[order],
        label=label,
        area=annotations.area[order],
        iscrowd=annotations.iscrowd[order],
        annotation_id=annotations.annotation_id[order],
        annotation=Ragged.of_bytes(annotations.annotation[i] for i in order),
    )
    return objects, int(np.count_nonzero(~listed))


def _ignored(root: Path, folder: Folder, listed: set[bytes]) -> Counter[str]:
    ignored: Counter[str] = Counter()
    on_disk = folders.images(root, folder, ignored)
    ignored["image without an entry in the annotations"] = sum(
        image.key not in listed for image in on_disk
    )
    return ignored
