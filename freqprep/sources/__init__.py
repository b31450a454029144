"""Sources: the content of a data-set folder, as one listing per split.

Each kind of source is one function (see ``Source``) in a module of its own:

- ``imagefolder``: class folders, with or without split folders above them;
- ``imagenet``: ImageNet as folders, as Kaggle has it, or as the original archives;
- ``coco``: images with annotation files in COCO's format;
- ``parquet``: tables with images in them, as the Hugging Face hub has them;
- ``webdataset``: tar shards of samples, an image and its label.

Nothing is decoded here; ``read_images`` yields the bytes of listed images.
"""

from __future__ import annotations

from freqprep.sources import coco, imagefolder, imagenet, parquet, webdataset
from freqprep.sources.file_table import WHOLE_FILE, FileTable, TableFiles
from freqprep.sources.files import read_image_bytes, read_images
from freqprep.sources.listing import Classes, Discovered, Listing, Objects, Source, class_text
from freqprep.sources.options import SourceOptions
from freqprep.sources.source_files import root_of
from freqprep.sources.split_names import normalise_split
from freqprep.storage.paths import AnyPath

SOURCES: dict[str, Source] = {
    "imagefolder": imagefolder.discover,
    "imagenet": imagenet.discover,
    "coco": coco.discover,
    "parquet": parquet.discover,
    "webdataset": webdataset.discover,
}
"""Kind of source, as the command line names it -> function that lists one."""


def discover(kind: str, source: AnyPath, split: str | None, options: SourceOptions) -> Discovered:
    """List the splits of a source; see `Source`.

    Parameters
    ----------
    kind : str
        One of `SOURCES`.
    source : Path or ObjectPath
    split : str or None
    options : SourceOptions

    Returns
    -------
    Discovered
    """
    return SOURCES[kind](source, split, options)


__all__ = [
    "SOURCES",
    "WHOLE_FILE",
    "Classes",
    "Discovered",
    "FileTable",
    "Listing",
    "Objects",
    "Source",
    "SourceOptions",
    "TableFiles",
    "class_text",
    "discover",
    "normalise_split",
    "read_image_bytes",
    "read_images",
    "root_of",
]
