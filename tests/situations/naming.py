"""Names and options that are not what was meant."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from situation import Situation

ABSENT = "pyarrow"


class Missing:
    """Finder of modules by which a package is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse the package; leave others to other finders."""
        if name.partition(".")[0] == ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextlib.contextmanager
def package_missing(folder: Path) -> Iterator[str]:
    """Let imports of a package fail, as where it is not installed."""
    loaded = [name for name in sys.modules if name.partition(".")[0] == ABSENT]
    modules = {name: sys.modules.pop(name) for name in loaded}
    with mock.patch.object(sys, "meta_path", [Missing(), *sys.meta_path]):
        yield ""
    sys.modules.update(modules)


NAMING = (
    Situation(
        "An option is misspelt",
        "freqprep stats photos.zarr --splt train",
        "Options, commands, splits, channels, scores and values are compared with those that "
        "exist.",
        "take the name that is proposed, or look into `freqprep COMMAND --help`.",
    ),
    Situation(
        "The store has several splits",
        "freqprep show photos.zarr cat/chelsea.png -o cat.png",
        "`show` and `stats` work on one split. It need not be named where there is only one.",
        "`--split train`, or another of those that the message lists.",
    ),
    Situation(
        "There is no such split",
        "freqprep verify photos.zarr --split test",
        "A split is called train, val or test in the store, whatever its folder was called.",
        "name one of those listed, or convert the missing one into the same store with `--split`.",
    ),
    Situation(
        "There are no such channels",
        "freqprep show photos.zarr 0 --split train --channels square-42 -o cat.png",
        "Selections are the published ones, rules with a number, and those saved in this store.",
        "`freqprep channels photos.zarr` lists them; or [name "
        "channels](how-to/channels.md#select-channels-by-name).",
    ),
    Situation(
        "The output is there already",
        "freqprep show photos.zarr cat/chelsea.png --split train -o chelsea.png",
        "No file is replaced unasked, and nothing was computed yet.",
        "`--overwrite`, or another name.",
        make=lambda folder: (folder / "chelsea.png").write_bytes(b"mine"),
    ),
    Situation(
        "A folder of images is no store",
        "freqprep info photos",
        "Commands that read take what `convert` made; only `convert`, and `--source`, take images.",
        "convert the folder, and name the store.",
    ),
    Situation(
        "A split is not the store",
        "freqprep verify photos.zarr/train",
        "A store is a folder of splits.",
        "name the folder above it.",
    ),
    Situation(
        "A run is not a store",
        "freqprep info runs/first",
        "The run folder has the network; its data stay in the store.",
        "name the store; what a run was is in its `model.json`.",
    ),
    Situation(
        "A count of channels of no data",
        "import freqprep\n\nfreqprep.channels(24)",
        "A count stands for the channels with the most energy, which depend on the images.",
        "`freqprep.channels(24, split)`, or the list `[24]` for the one channel of that index.",
    ),
    Situation(
        "A package is missing",
        "freqprep convert parquet imagenette imagenette.zarr",
        "What not everybody needs is in extras: `train`, `compiled`, `report`, `s3`, `parquet` "
        "and others.",
        "the `pip install` of the message.",
        during=package_missing,
    ),
)
