"""Sources: the content of a data-set folder, as one listing per split.

Each kind of source is one function (see ``Source``) in a module of its own:

- ``imagefolder``: class folders, with or without split folders above them;
- ``imagenet``: ImageNet as folders, as Kaggle has it, or as the original archives;
- ``coco``: images with annotation files in COCO's format.

Nothing is decoded here; ``read_image_bytes`` returns the bytes of a listed image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from freqprep.sources import coco, imagefolder, imagenet
from freqprep.sources.coco import named_paths
from freqprep.sources.files import read_image_bytes
from freqprep.sources.listing import (
    WHOLE_FILE,
    Classes,
    Discovered,
    FileTable,
    Listing,
    Objects,
    Source,
    class_text,
)
from freqprep.sources.split_names import normalise_split

SOURCES: dict[str, Source] = {
    "imagefolder": imagefolder.discover,
    "imagenet": imagenet.discover,
    "coco": coco.discover,
}
"""Kind of source, as the command line names it -> function that lists one."""


def discover(kind: str, root: Path, split: str | None, named: Mapping[str, Path]) -> Discovered:
    """List the splits of a source; see `Source`.

    Parameters
    ----------
    kind : str
        One of `SOURCES`.
    root : Path
    split : str or None
    named : mapping of str to Path
        Paths ``annotations`` and ``images`` that the user named; for COCO only.

    Returns
    -------
    Discovered
    """
    return coco.discover(root, split, **named) if named else SOURCES[kind](root, split)


__all__ = [
    "SOURCES",
    "WHOLE_FILE",
    "Classes",
    "Discovered",
    "FileTable",
    "Listing",
    "Objects",
    "Source",
    "class_text",
    "discover",
    "named_paths",
    "normalise_split",
    "read_image_bytes",
]
