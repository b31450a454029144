"""Sources: what a data-set folder holds, as one listing a split.

Each kind of source is one function (see ``Source``) in a module of its own:

- ``imagefolder``: class folders, with or without split folders above them;
- ``imagenet``: ImageNet as folders, as Kaggle has it, or as the original archives;
- ``coco``: images with ``instances_*.json``.

Nothing is decoded here; ``read_image_bytes`` gives the bytes of a listed image.
"""

from __future__ import annotations

from freqprep.sources import coco, imagefolder, imagenet
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
"""Kind of source, as the command line names it -> how to list one."""

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
    "normalise_split",
    "read_image_bytes",
]
