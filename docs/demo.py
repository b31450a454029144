"""The demo: convert real photographs to frequency channels, view them, train a network on them.

Usage: python docs/demo.py FOLDER

FOLDER belongs to the demo: it makes photographs, stores, pictures, a report and a trained network
there, and removes these, and nothing else, when run again. The photographs come with scikit-image's
wheel. Each is a class. The network is trained on tiles of the left half of each and validated on
tiles of the right half: no pixel is in both.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

PHOTOS = {
    "brick": "brick.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "galaxies": "hubble_deep_field.jpg",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "tissue": "ihc.png",
}
"""Class -> file of scikit-image's data folder."""

CUT_OFF = "rocket_cut_off.jpg"
"""A photograph that lost its second half, to show how such files are rejected."""

TILE = 160
"""Side of a tile in pixels; each half of a photograph is at least as large."""

TILES = {"train": 6, "val": 4}
"""Split -> number of tiles of a half along each axis. Tiles of one half overlap."""

EPOCHS = 20

MADE = (
    "photos",
    "photos.zarr",
    "photos.zarr.log",
    "photos.zarr.rejected-train.jsonl",
    "chelsea-192.png",
    "chelsea-24.png",
    "chelsea-channels.png",
    "chelsea-6.png",
    "tiles",
    "tiles.zarr",
    "tiles.zarr.log",
    "report.html",
    "run",
)
"""Files and folders that the demo makes."""


def remove_made(folder: Path) -> None:
    """Remove the results of an earlier demo."""
    for name in MADE:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def make_photos(folder: Path) -> None:
    """Copy the photographs into one folder a class."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        sys.exit("the demo needs scikit-image for its photographs: pip install 'freqprep[demo]'")
    data = Path(spec.origin).parent / "data"
    for name, file in PHOTOS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / file, folder / name / file)
    rocket = (data / PHOTOS["rocket"]).read_bytes()
    (folder / "rocket" / CUT_OFF).write_bytes(rocket[: len(rocket) // 2])


def make_tiles(photos: Path, folder: Path) -> dict[str, int]:
    """Cut each photograph's halves into tiles; return the number of each split's tiles."""
    made = dict.fromkeys(TILES, 0)
    for name, file in PHOTOS.items():
        with Image.open(photos / name / file) as opened:
            photo = opened.copy()
        middle = photo.width // 2
        for split, left, right in (("train", 0, middle), ("val", middle, photo.width)):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for row, y in enumerate(spread(0, photo.height - TILE, TILES[split])):
                for column, x in enumerate(spread(left, right - TILE, TILES[split])):
                    tile = photo.crop((x, y, x + TILE, y + TILE))
                    tile.save(folder / split / name / f"{Path(file).stem}-{row}-{column}.png")
                    made[split] += 1
    return made


def spread(first: int, last: int, count: int) -> list[int]:
    """Return ``count`` equally spaced positions from ``first`` to ``last``."""
    return [first + (last - first) * index // (count - 1) for index in range(count)]


def run(command: str, folder: Path) -> None:
    """Print a command, run it in ``folder``, and exit if it fails."""
    print(f"\n$ {command}", flush=True)
    finished = subprocess.run(command, shell=True, cwd=folder, check=False)
    if finished.returncode:
        sys.exit(f"the demo stops here: exit code {finished.returncode}")


def view_photos(folder: Path) -> None:
    """Convert the photographs, and rebuild one of them from some of its channels."""
    run("freqprep convert imagefolder photos photos.zarr --max-failures 1", folder)
    chelsea = "freqprep show photos.zarr cat/chelsea.png"
    run(f"{chelsea} -o chelsea-192.png", folder)
    run(f"{chelsea} --channels square-24 -o chelsea-24.png --sheet chelsea-channels.png", folder)
    run(f"{chelsea} --channels paper-6 -o chelsea-6.png", folder)
    run("freqprep verify photos.zarr --source photos", folder)


def train_on_tiles(folder: Path) -> None:
    """Select channels of the tiles, train a network on them, evaluate it and predict."""
    run(f"freqprep convert imagefolder tiles tiles.zarr --size {TILE}", folder)
    run(
        "freqprep stats tiles.zarr --split train --top 24 --save chosen --report report.html",
        folder,
    )
    # One thread: the network is small, and its result then does not depend on the number of cores.
    run(
        "OMP_NUM_THREADS=1 freqprep train tiles.zarr --model mobilenet_v2 --channels chosen --grid"
        f" {TILE // 8} --epochs {EPOCHS} --batch-size 48 --run run",
        folder,
    )
    run("freqprep evaluate run tiles.zarr --split val", folder)
    run("freqprep predict run tiles/val/cat/chelsea-3-0.png --top 3", folder)


def main(folder: Path) -> None:
    """Make the photographs and tiles, run the commands, list the results."""
    remove_made(folder)
    make_photos(folder / "photos")
    tiles = make_tiles(folder / "photos", folder / "tiles")
    print(f"{len(PHOTOS)} photographs, and one cut off half way, in {folder}/photos")
    print(f"{tiles['train']} tiles of their left halves in {folder}/tiles/train")
    print(f"{tiles['val']} tiles of their right halves in {folder}/tiles/val")
    view_photos(folder)
    train_on_tiles(folder)

    print("\nLook at these:")
    for name, what in (
        ("report.html", "which channels matter, in a browser"),
        ("run/curves.png", "how the network learned"),
        ("photos/cat/chelsea.png", "a photograph"),
        ("chelsea-192.png", "from all 192 channels"),
        ("chelsea-24.png", "from the published 24"),
        ("chelsea-6.png", "from the published 6"),
        ("chelsea-channels.png", "the 24 channels themselves"),
    ):
        print(f"  {folder / name!s:<28} {what}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
