"""COCO: images with annotated objects.

::

    ROOT/annotations/instances_NAME.json    ROOT/NAME/FILE_NAME  or  ROOT/images/NAME/FILE_NAME
    ROOT/NAME/_annotations.coco.json        ROOT/NAME/FILE_NAME                        (Roboflow)
    ROOT/result.json                        ROOT/images/FILE_NAME                  (Label Studio)

and others; `freqprep.sources.coco_files` finds the annotation files, `coco_images` the images.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from freqprep.errors import SourceError, some
from freqprep.progress import say
from freqprep.ragged import Ragged
from freqprep.sources.box_form import box_form_doubts
from freqprep.sources.coco_annotations import (
    Annotations,
    Outline,
    read_annotations,
    read_outline,
    rows_of,
)
from freqprep.sources.coco_files import NOT_USED, AnnotationFile, find_files, is_unnamed
from freqprep.sources.coco_given import given_file, images_folder
from freqprep.sources.coco_images import Located, candidate_folders, locate
from freqprep.sources.coco_refusals import some_image
from freqprep.sources.coco_unlisted import count_ignored
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.listing import (
    Classes,
    Discovered,
    Doubt,
    Listing,
    Objects,
    choose_splits,
)
from freqprep.sources.options import NO_OPTIONS, SourceOptions
from freqprep.sources.split_names import normalise_split
from freqprep.sources.tree import SourceTree, file_table, source_tree
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural


def discover(root: AnyPath, split: str | None, options: SourceOptions = NO_OPTIONS) -> Discovered:
    """List the splits with annotations under ``root``; see `freqprep.sources.listing.Source`.

    Rows are sorted by image id; objects of an image are in the order of the annotation file. An
    image that is listed but missing keeps its row, to be rejected later.

    Parameters
    ----------
    root : Path or ObjectPath
    split : str or None
        See `freqprep.sources.listing.Source`. If one annotation file is named, or the split of
        the only one is not known, this is the name of the split.
    options : SourceOptions
        ``annotations``, the annotation file to read instead of those found, and ``images``, the
        folder that listed file names are relative to.

    Returns
    -------
    Discovered

    Raises
    ------
    SourceError
        There are no annotations, no such split or none of the listed images, or an annotation
        file is malformed.
    """
    tree = source_tree(root)
    named = options.texts(root)
    folder = images_folder(tree, options.images, named)
    if options.annotations is None:
        files, unused = _by_split(tree, split)
    else:
        file = given_file(options.annotations, os.fsencode(named["annotations"]))
        files, unused = {split or file.split or "train": file}, {}
    if left := [shown(path) for path, what in unused.items() if what == NOT_USED]:
        say(
            f"warning: annotations that are not used: {some(left)}; --annotations FILE --split NAME"
            " converts one of them"
        )
    chosen = choose_splits(files, split, root)
    sources = {
        name: _Source(tree, file, name, file.split or split, folder) for name, file in files.items()
    }
    read = {name: sources[chosen[name]].read() for name in sorted(chosen)}
    classes = _classes(
        {
            source.path: read[normalise_split(name)].categories
            if name in chosen.values()
            else source.outline.categories
            for name, source in sources.items()
        }
    )
    located = {name: sources[chosen[name]].located(read[name].file_name) for name in read}
    for name in read:
        _check_there(sources[chosen[name]], name, read[name].file_name, located[name])
    _say_shared({name: one.paths for name, one in located.items()})
    elsewhere = _Elsewhere(sources, set(chosen.values()), located, unused)
    listings: dict[str, Listing] = {}
    doubts: tuple[Doubt, ...] = ()
    for name in located:
        listings[name], more = _listing(
            sources[chosen[name]], name, read.pop(name), located[name], classes, elsewhere, named
        )
        doubts += more
        for path, what in unused.items():
            listings[name].ignored[f"{shown(path)} ({what})"] = 1
    return Discovered(classes, listings, doubts=doubts)


@dataclass(frozen=True)
class _Source:
    """Annotation file and its split.

    Attributes
    ----------
    tree : SourceTree
    file : AnnotationFile
    name : str
        Name of the split in the source.
    stated : str or None
        The same name, if the file or the user states it.
    images : bytes or None
        Folder of the images, if the user named one.
    """

    tree: SourceTree
    file: AnnotationFile
    name: str
    stated: str | None
    images: bytes | None

    @property
    def path(self) -> AnyPath:
        return self.file.full(self.tree.root)

    @cached_property
    def outline(self) -> Outline:
        return read_outline(self.path)

    def read(self) -> Annotations:
        return read_annotations(self.path)

    def located(self, names: list[bytes]) -> Located:
        return locate(
            self.tree, names, candidate_folders(self.tree, self.file, self.stated, self.images)
        )


def _by_split(
    tree: SourceTree, wanted: str | None
) -> tuple[dict[str, AnnotationFile], Mapping[bytes, str]]:
    """Return the annotation files by split name in the source, and other JSON files."""
    found = find_files(tree)
    if len(found.files) == 1 and is_unnamed(found.files[0]):
        (file,) = found.files
        return {wanted or file.split or "train": file}, found.unused
    files: dict[str, AnnotationFile] = {}
    for file in found.files:
        other = files.setdefault(file.split or "train", file)
        if other is not file:
            raise SourceError(
                f"both {shown(other.path)} and {shown(file.path)} in {tree.root} are the split"
                f" {file.split!r}",
                "choose one with --annotations FILE",
            )
    return files, found.unused


def _check_there(source: _Source, name: str, names: list[bytes], located: Located) -> None:
    """Raise if no listed image exists, and warn if most do not."""
    if located.there == 0:
        top, folder = as_bytes(source.tree.root), source.images or b""
        example = some_image(source.tree, folder)
        found = "no image is there" if example is None else f"{shown(example)} is there"
        raise SourceError(
            f"none of the {plural(len(names), 'image')} of {source.path} is in"
            f" {shown(os.path.join(top, folder) if folder else top)}:"
            f" {shown(names[0])} is listed, {found}",
            "name the folder that the listed names start from with --images DIR, or choose another"
            " split with --split",
        )
    if 2 * located.there < len(names):
        missing = next(
            number for number, path in enumerate(located.paths) if source.tree.stat(path) is None
        )
        say(
            f"warning: {name}: {len(names) - located.there} of {len(names)} listed images are not"
            f" there, for example {shown(names[missing])}, looked for as"
            f" {shown(located.paths[missing])}: if they are elsewhere, name their folder with"
            " --images DIR"
        )
    if located.how:
        say(
            f"{name}: images were found {located.how}: {shown(names[0])} is"
            f" {shown(located.paths[0])}"
        )


def _say_shared(paths: Mapping[str, list[bytes]]) -> None:
    """Warn about images that are in two splits."""
    for one, other in combinations(sorted(paths), 2):
        if shared := sorted(set(paths[one]) & set(paths[other])):
            say(
                f"warning: {plural(len(shared), 'image')} in both {one} and {other}, for example"
                f" {shown(shared[0])}"
            )


class _Elsewhere:
    """Files of the source that other splits use."""

    def __init__(
        self,
        sources: Mapping[str, _Source],
        chosen: set[str],
        located: Mapping[str, Located],
        unused: Iterable[bytes],
    ) -> None:
        self._chosen = {name: set(one.paths) for name, one in located.items()}
        self._rest = [source for name, source in sources.items() if name not in chosen]
        self.annotations = {*unused, *(source.file.path for source in sources.values())}

    def of(self, name: str) -> Iterator[set[bytes]]:
        """Yield the paths that the other splits list; splits not converted now are read last."""
        yield from (paths for other, paths in self._chosen.items() if other != name)
        yield from self._of_the_rest

    @cached_property
    def _of_the_rest(self) -> list[set[bytes]]:
        paths = []
        for source in self._rest:
            try:
                paths.append(set(source.located(source.outline.file_name).paths))
            except SourceError:  # raised when that split is converted
                continue
        return paths


def _classes(categories: Mapping[AnyPath, Mapping[int, str]]) -> Classes:
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
    source: _Source,
    name: str,
    annotations: Annotations,
    located: Located,
    classes: Classes,
    elsewhere: _Elsewhere,
    named: dict[str, str],
) -> tuple[Listing, tuple[Doubt, ...]]:
    order = np.argsort(annotations.image_id)
    image_ids = annotations.image_id[order]
    objects, unlisted = _objects(annotations, image_ids, classes)
    if not len(objects.box):
        say(f"warning: {name}: none of the {plural(len(order), 'image')} has an annotated object")
    every, sizes = np.arange(len(order)), annotations.size[order]
    where, how = str(source.path), "in the annotation file"
    notes, doubts = box_form_doubts(objects, every, sizes, where, how)
    for note in notes:
        say(note)
    ignored = count_ignored(source.tree, located, elsewhere.of(name), elsewhere.annotations)
    ignored["annotation of an unlisted image"] = unlisted
    listing = Listing(
        name=name,
        source_name=source.name,
        keys=Ragged.of_bytes(annotations.file_name[row] for row in order),
        labels=np.full(len(order), -1, np.int64),
        files=file_table(source.tree, [located.paths[row] for row in order]),
        image_ids=image_ids,
        stated_sizes=sizes,
        objects=objects,
        ignored={what: number for what, number in sorted(ignored.items()) if number},
        options=named,
    )
    return listing, doubts


def _objects(
    annotations: Annotations, image_ids: np.ndarray, classes: Classes
) -> tuple[Objects, int]:
    """Return the objects grouped by image, and the number of those of unlisted images."""
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
