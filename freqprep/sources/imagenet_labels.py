"""Labels of ImageNet's validation images, which are in one folder or archive."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import re
import stat
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import resources
from typing import BinaryIO, cast

from freqprep.errors import SourceError
from freqprep.sources.archives import Span, entries
from freqprep.sources.files import as_bytes, shown
from freqprep.sources.matlab_file import read_structs
from freqprep.sources.tree import SourceTree
from freqprep.text.quantities import size

WNID = re.compile(rb"n\d{8}")
"""Class id of ImageNet: n and the eight digits of its WordNet synset."""

LABEL_FILES = (
    "LOC_val_solution.csv (Kaggle) or ILSVRC2012_devkit_t12.tar.gz (image-net.org), packed or as a"
    " folder"
)
"""Files with labels, for messages."""

LabelImages = Callable[[Sequence[bytes]], list[bytes]]
"""Function of the sorted file names of all validation images that returns their wnids."""

_SOLUTION = b"LOC_val_solution.csv"
_DEVKIT = b"ILSVRC2012_devkit_t12"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_META = "meta.mat"
_ID = re.compile(rb"[0-9]{1,9}")
_MOST_BYTES = 2**28
"""Length of the devkit, unpacked, at most: it has a hundredth of that."""

_NAME = re.compile(rb"ILSVRC2012_val_(\d{8})\.")
_NUMBER = re.compile(rb"(?<!\d)(\d{1,8})\.[^.]*$")


@cache
def class_names() -> dict[str, str]:
    """Return wnid -> English name of the 1000 classes, sorted; names are not unique.

    A name is the first lemma of the synset in WordNet.
    """
    table = resources.files("freqprep.sources").joinpath("imagenet_classes.tsv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t", 1) for line in lines)


def find_labels(tree: SourceTree, folder: bytes) -> LabelImages | None:
    """Find the labels in a folder of the source; None if there are none.

    Kaggle's table is searched first: in ``folder``, or beside ``ILSVRC`` if it is that folder. Then
    the devkit's ground truth, in ``folder``.

    Raises
    ------
    SourceError
        The labels are damaged.
    """
    places = [folder, b"ILSVRC" if not folder else os.path.join(folder, b"ILSVRC")]
    # The folder above belongs to the source only in Kaggle's layout.
    if _is(stat.S_ISDIR, tree, os.path.join(folder, b"Data/CLS-LOC")):
        places.insert(1, os.path.join(folder, b".."))
    for place in places:
        path = os.path.join(place, _SOLUTION)
        if _is(stat.S_ISREG, tree, path):
            where = _where(tree, path)
            return partial(labels_by_name, where, _solution(tree, path, where), key=_stem)
    files = _devkit(tree, folder)
    if files is None:
        return None
    wnids = _ground_truth(files[_TRUTH], _wnid_of_id(files[_META]))
    return partial(_by_number, wnids)


def _is(kind: Callable[[int], bool], tree: SourceTree, path: bytes) -> bool:
    status = tree.stat(path)
    return status is not None and kind(status.st_mode)


def _where(tree: SourceTree, path: bytes) -> str:
    return shown(os.path.join(as_bytes(tree.root), path))


def _solution(tree: SourceTree, path: bytes, where: str) -> dict[bytes, bytes]:
    with tree.open(path) as file:
        text = file.read().decode("utf-8-sig", "replace")
    try:
        return _of_table(csv.DictReader(io.StringIO(text)), where)
    except csv.Error as error:  # a field of a megabyte
        raise SourceError(f"{where} is damaged: {error}", "download it again") from None


def _of_table(reader: csv.DictReader[str], where: str) -> dict[bytes, bytes]:
    if not {"ImageId", "PredictionString"} <= set(reader.fieldnames or ()):
        raise SourceError(
            f"{where} has the columns {reader.fieldnames!r:.200}, not ImageId and PredictionString",
            "download it again",
        )
    wnids = {}
    for row in reader:
        # One object after the other: wnid and four corners; an image has one class only.
        wnid = (row["PredictionString"] or "").partition(" ")[0].encode()
        if not WNID.fullmatch(wnid):
            raise SourceError(
                f"{where}, line {reader.line_num}: {row['PredictionString']!r:.60} does not begin"
                " with a wnid such as n01440764",
                "download it again",
            )
        wnids[(row["ImageId"] or "").encode()] = wnid
    return wnids


def labels_by_name(
    where: str,
    wnids: Mapping[bytes, bytes],
    names: Sequence[bytes],
    key: Callable[[bytes], bytes] = bytes,
) -> list[bytes]:
    """Return the wnid of each file name.

    Parameters
    ----------
    where : str
        File with the labels, for messages.
    wnids : mapping of bytes to bytes
        Key of a file name -> wnid.
    names : sequence of bytes
        File names of all validation images.
    key : callable
        Function of a file name that returns its key; by default the name itself.

    Returns
    -------
    list of bytes

    Raises
    ------
    SourceError
        A file has no label.
    """
    if unknown := [name for name in names if key(name) not in wnids]:
        raise SourceError(
            f"{where} has no label for {len(unknown)} of {len(names)} validation images, the first"
            f" of them {shown(unknown[0])}",
            "remove what is not a validation image, or download the file again",
        )
    return [wnids[key(name)] for name in names]


def _stem(name: bytes) -> bytes:
    return name.rpartition(b".")[0] or name


def _devkit(tree: SourceTree, folder: bytes) -> dict[str, bytes] | None:
    for inside in [_DEVKIT + b"/data", _DEVKIT, b""]:
        place = os.path.join(folder, inside)
        if _is(stat.S_ISREG, tree, os.path.join(place, os.fsencode(_TRUTH))):
            files = {}
            for name in (_TRUTH, _META):
                path = os.path.join(place, os.fsencode(name))
                with tree.open(path) as file:
                    files[name] = file.read(_MOST_BYTES + 1)
                if len(files[name]) > _MOST_BYTES:
                    raise _too_large(_where(tree, path))
            return files
    packed = os.path.join(folder, _DEVKIT + b".tar.gz")
    return _unpacked_devkit(tree, packed) if _is(stat.S_ISREG, tree, packed) else None


def _unpacked_devkit(tree: SourceTree, path: bytes) -> dict[str, bytes]:
    files, where = {}, _where(tree, path)
    try:
        with tree.open(path) as packed, gzip.GzipFile(fileobj=packed) as stream:
            content = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{where} is damaged or cut off: {error}", "download it again") from error
    if len(content) > _MOST_BYTES:
        raise _too_large(where)
    for member in entries(cast(BinaryIO, io.BytesIO(content)), Span(path, 0, len(content))):
        name = os.fsdecode(member.name.rpartition(b"/")[2])
        if name in (_TRUTH, _META) and not member.kind:
            files[name] = content[member.start : member.start + member.length]
    for name in (_TRUTH, _META):
        if name not in files:
            raise SourceError(f"{where} holds no {name}", "download it again")
    return files


def _too_large(where: str) -> SourceError:
    return SourceError(f"{where} has more than {size(_MOST_BYTES)}", "download it again")


def _wnid_of_id(meta: bytes) -> dict[int, bytes]:
    # The ids are not in the order of the wnids; only meta.mat pairs them.
    try:
        synsets = read_structs(meta, "synsets", ("ILSVRC2012_ID", "WNID"))
    except ValueError as error:
        raise SourceError(
            f"the devkit's {_META} cannot be read: {error}",
            f"download {_DEVKIT.decode()}.tar.gz again",
        ) from None
    return {
        int(id_): wnid.encode("utf-8", "replace")
        for id_, wnid in synsets
        if isinstance(id_, float) and math.isfinite(id_) and isinstance(wnid, str)
    }


def _ground_truth(text: bytes, wnid_of_id: Mapping[int, bytes]) -> list[bytes]:
    wnids = []
    for number, line in enumerate(text.split(), start=1):
        wnid = wnid_of_id.get(int(line)) if _ID.fullmatch(line) else None
        if wnid is None or not WNID.fullmatch(wnid):
            raise SourceError(
                f"{_TRUTH}, line {number}: {shown(line[:40])} is not the id of a class in {_META}",
                f"download {_DEVKIT.decode()}.tar.gz again",
            )
        wnids.append(wnid)
    return wnids


def _by_number(wnids: Sequence[bytes], names: Sequence[bytes]) -> list[bytes]:
    numbers = _numbers(names, len(wnids))
    for number, name in zip(numbers, names, strict=True):
        if not 1 <= number <= len(wnids):
            raise SourceError(
                f"validation image {shown(name)} has no line in {_TRUTH}, which has {len(wnids)}",
                f"remove it, or download {_DEVKIT.decode()}.tar.gz again",
            )
    return [wnids[number - 1] for number in numbers]


def _numbers(names: Sequence[bytes], lines: int) -> list[int]:
    """Return the line of each image, from 1: its number, or its place if names have no numbers.

    Names are in the order of their bytes, in which 10 comes before 2.
    """
    originals = [match for name in names if (match := _NAME.match(name))]
    if len(originals) == len(names):
        return [int(match[1]) for match in originals]
    if len(names) != lines or originals:
        raise SourceError(
            f"{len(names)} validation images, but {lines} lines in {_TRUTH}, and not"
            " all names are like ILSVRC2012_val_00000001.JPEG",
            "keep the original names, and only validation images",
        )
    ends = [match for name in names if (match := _NUMBER.search(name))]
    numbers, places = [int(match[1]) for match in ends], list(range(1, lines + 1))
    if len(ends) < lines or numbers == sorted(set(numbers)):
        return places
    if sorted(numbers) != places:
        raise SourceError(
            f"the names of the validation images do not end in 1 to {lines}, and their order is"
            f" not that of the numbers that they end in: which line of {_TRUTH} is theirs?",
            "keep the original names, such as ILSVRC2012_val_00000001.JPEG",
        )
    return numbers
