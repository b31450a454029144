"""The demo: real photographs to frequency channels, a look at them, a check, and a report.

Usage: python docs/demo.py FOLDER

FOLDER is the demo's own: it makes ``photos/``, ``photos.zarr``, a few PNG files and a report in it,
and replaces them when run again. The photographs are those that scikit-image's wheel brings along.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

PHOTOS = {
    "animal": ["chelsea.png"],
    "body": ["cell.png", "ihc.png", "retina.jpg"],
    "people": ["astronaut.png", "camera.png"],
    "space": ["hubble_deep_field.jpg", "moon.png", "rocket.jpg"],
    "surface": ["brick.png", "grass.png", "gravel.png"],
    "thing": ["coffee.png", "coins.png", "motorcycle_left.png", "motorcycle_right.png"],
}
"""Class -> files of scikit-image's data folder."""

CUT_OFF = "rocket_cut_off.jpg"
"""A photograph that lost its second half, to see what happens to such files."""


def make_photos(folder: Path) -> int:
    """Copy the photographs into one folder a class; return how many there are."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        sys.exit("the demo needs scikit-image for its photographs: pip install 'freqprep[demo]'")
    data = Path(spec.origin).parent / "data"
    for name, files in PHOTOS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(data / file, folder / name / file)
    rocket = (data / "rocket.jpg").read_bytes()
    (folder / "space" / CUT_OFF).write_bytes(rocket[: len(rocket) // 2])
    return sum(map(len, PHOTOS.values()))


def run(command: str, folder: Path) -> None:
    """Show a command, run it in ``folder``, and stop where it fails."""
    print(f"\n$ {command}", flush=True)
    finished = subprocess.run(shlex.split(command), cwd=folder, check=False)
    if finished.returncode:
        sys.exit(f"the demo stops here: exit code {finished.returncode}")


def main(folder: Path) -> None:
    """Make the photographs, run the commands, say where the pictures are."""
    photos = make_photos(folder / "photos")
    print(f"{photos} photographs in {len(PHOTOS)} classes, and one cut off half way, in {folder}/")

    run("freqprep convert imagefolder photos photos.zarr --overwrite --max-failures 1", folder)
    chelsea = "freqprep show photos.zarr animal/chelsea.png"
    run(f"{chelsea} -o chelsea-192.png", folder)
    run(f"{chelsea} --channels square-24 -o chelsea-24.png --sheet chelsea-channels.png", folder)
    run(f"{chelsea} --channels paper-6 -o chelsea-6.png", folder)
    run("freqprep verify photos.zarr --source photos", folder)
    run("freqprep stats photos.zarr --top 24 --report report.html", folder)

    print("\nLook at these:")
    print(f"  {folder}/report.html                which channels matter, in a browser")
    print(f"  {folder}/photos/animal/chelsea.png  the photograph")
    print(f"  {folder}/chelsea-192.png            from all 192 channels")
    print(f"  {folder}/chelsea-24.png             from the published 24")
    print(f"  {folder}/chelsea-6.png              from the published 6")
    print(f"  {folder}/chelsea-channels.png       the 24 channels themselves")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
