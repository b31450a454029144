"""Stores that are damaged, incomplete, or lack what is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import synthetic
from situation import Situation

CHUNKS = "photos.zarr/train/coefficients/c"


def one_shard(folder: Path) -> Path:
    """The first shard of the store."""
    return sorted(path for path in (folder / CHUNKS).rglob("*") if path.is_file())[0]


def flip_a_bit(folder: Path) -> None:
    """Damage a shard."""
    synthetic.flip(one_shard(folder), 12345)


def lose_a_shard(folder: Path) -> None:
    """Delete a shard."""
    one_shard(folder).unlink()


def lose_the_manifest(folder: Path) -> None:
    """Stop a copy before its last file."""
    (folder / "photos.zarr/train/manifest.json").unlink()


def newer_format(folder: Path) -> None:
    """A store of a version to come."""
    path = folder / "photos.zarr/zarr.json"
    path.write_text(path.read_text().replace('"1.', '"9.'))


def pack(folder: Path) -> None:
    """Keep six channels."""
    done = synthetic.freqprep(
        "pack", "photos.zarr", "small.zarr", "--channels", "paper-6", cwd=folder
    )
    assert done.returncode == 0, done.stderr


def reject_one(folder: Path) -> None:
    """Convert a folder of which an image is cut off."""
    path = sorted((folder / "photos/train/cat").iterdir())[0]
    path.write_bytes(path.read_bytes()[:200])
    synthetic.make(folder / "photos", folder / "new.zarr", split="train")


def spoil_a_selection(folder: Path) -> None:
    """A saved selection of another program."""
    (folder / "choice.json").write_text(json.dumps({"channels": [1, 2, 3]}))


REPLACED = """\
from pathlib import Path

import freqprep
from freqprep.convert import Request, convert

split = freqprep.open_store("photos.zarr")["train"]
convert(Request("imagefolder", Path("photos"), Path("photos.zarr"), size=64, overwrite=True))
split.read(0)"""

READING = (
    Situation(
        "A file of the store is damaged",
        "freqprep verify photos.zarr --split train",
        "Each file has its hash in the manifest, each chunk a checksum: a disk, a copy or a "
        "program changed a byte.",
        "`freqprep repair photos.zarr --source photos` makes it again, to the same bytes. "
        "([Repair](how-to/stores.md#repair-a-damaged-store).)",
        make=flip_a_bit,
    ),
    Situation(
        "A damaged file is read",
        "freqprep show photos.zarr 0 --split train --channels all -o first.png",
        "Reading checks as well, so that a damaged image is an error, and never another image.",
        "`freqprep verify` lists all that is wrong; then `repair`.",
        make=flip_a_bit,
    ),
    Situation(
        "A shard is missing",
        "freqprep show photos.zarr 0 --split train -o first.png",
        "Other readers of Zarr would give zeros here.",
        "copy the store again, or `repair` it.",
        make=lose_a_shard,
    ),
    Situation(
        "The copy is incomplete",
        "freqprep show photos.zarr 0 --split train -o first.png",
        "`manifest.json` is written last, so a split without it was not copied to the end.",
        "copy it again.",
        make=lose_the_manifest,
    ),
    Situation(
        "The store is newer than freqprep",
        "freqprep info photos.zarr",
        "A reader must know all of a format to say that a store is whole.",
        "`pip install --upgrade freqprep`.",
        make=newer_format,
    ),
    Situation(
        "The store was packed without these channels",
        "freqprep show small.zarr 0 --split train --channels paper-48 -o first.png",
        "`pack --channels` left them out.",
        "name others (`freqprep channels small.zarr`), or read the store that it was packed from.",
        make=pack,
        given="photos.zarr",
    ),
    Situation(
        "A file is no selection",
        "freqprep show photos.zarr 0 --split train --channels choice.json -o first.png",
        "It is damaged, or was written by something else.",
        "save it again: `freqprep stats -o choice.json`. ([Its form](format.md#saved-selections).)",
        make=spoil_a_selection,
    ),
    Situation(
        "A rejected row is read",
        'import freqprep\n\nsplit = freqprep.open_store("new.zarr")["train"]  # made of photos\n'
        "row = (~split.valid).nonzero()[0][0]\nsplit.read(row)",
        "The image could not be decoded; the row is kept so that keys and labels are complete.",
        "`rows = split.valid.nonzero()[0]`; `freqprep.Loader` leaves them out by itself.",
        make=reject_one,
    ),
    Situation(
        "The store was replaced while it was open",
        REPLACED,
        "A split that was opened stays what it was; its shards are another split's now.",
        "open the store again.",
    ),
)
