"""Small files in place of those that the documentation's commands and snippets name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import coco_folder
import imagenet_forms
import synthetic

import freqprep
from freqprep.spectrum.quantization import Precision
from freqprep.store.steps_file import write_steps

PHOTO = "cat/chelsea.png"
STREET = "000000184324.jpg"


class StandIns:
    """Files by the names that the documentation gives them, made when they are first asked for.

    Parameters
    ----------
    folder : Path
        Where the originals are kept; each user gets copies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[Callable[[StandIns, Path], None], Path] = {}

    def put(self, name: str, folder: Path) -> None:
        """Copy what a name stands for into a folder, unless it is there already."""
        target = folder / name
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        original = self.original(KINDS[name], target.suffix)
        (shutil.copytree if original.is_dir() else shutil.copyfile)(original, target)

    def named_in(self, text: str) -> list[str]:
        """Names in a text that stand for something; the longest at each place."""
        names = sorted(KINDS, key=len, reverse=True)
        pattern = rf"(?<![\w/.-])({'|'.join(map(re.escape, names))})(?![\w.-])"
        return list(dict.fromkeys(re.findall(pattern, text)))

    def original(self, make: Callable[[StandIns, Path], None], suffix: str = "") -> Path:
        """The one that is copied."""
        if make not in self.made:
            path = self.folder / f"{make.__name__}{suffix}"
            make(self, path)
            self.made[make] = path
        return self.made[make]


def photos(all_of: StandIns, path: Path) -> None:
    """120 and 24 images of three classes."""
    synthetic.image_folder(path, {"train": 120, "val": 24})
    for split in ("train", "val"):
        (path / split / "apple").rename(path / split / "cat")
    first = path / "train/cat/00000.jpg"
    (path / "train" / PHOTO).write_bytes(first.read_bytes())
    first.unlink()


def photos_store(all_of: StandIns, path: Path) -> None:
    synthetic.make(all_of.original(photos), path)


def train_store(all_of: StandIns, path: Path) -> None:
    synthetic.make(all_of.original(photos), path, split="train")


def coco(all_of: StandIns, path: Path) -> None:
    """Train and val of four images, all of them whole."""
    coco_folder.coco_folder(path)
    size = coco_folder.SIDES[30]
    (path / "val2017/30.jpg").write_bytes(synthetic.encoded(synthetic.pixels(30, *size)))
    (path / "val2017/11.jpg").rename(path / "val2017" / STREET)
    listing = path / "annotations/instances_val2017.json"
    listing.write_text(listing.read_text().replace('"11.jpg"', f'"{STREET}"'))
    shutil.copytree(path / "val2017", path / "train2017")
    shutil.copyfile(listing, path / "annotations/instances_train2017.json")


def coco_set(all_of: StandIns, path: Path) -> None:
    """The same, with names that are not found."""
    made = all_of.original(coco)
    shutil.copytree(made / "val2017", path / "pictures")
    shutil.copyfile(made / "annotations/instances_val2017.json", path / "a.json")


def coco_store(all_of: StandIns, path: Path) -> None:
    synthetic.make(all_of.original(coco), path, kind="coco", size=64)


def coco_results(all_of: StandIns, path: Path) -> None:
    found = {"image_id": 11, "category_id": 3, "bbox": [5, 10, 20.5, 12], "score": 0.9}
    path.write_text(json.dumps([found]))


def imagenet(all_of: StandIns, path: Path) -> None:
    imagenet_forms.as_kaggle(path)


def steps(all_of: StandIns, path: Path) -> None:
    write_steps(path, Precision("mine", "int8", (8.0,) * 64 + (16.0,) * 128))


def tables(all_of: StandIns, path: Path) -> None:
    import image_tables

    image_tables.image_tables(path, {"train": 30, "validation": 12})


def corner_table(all_of: StandIns, path: Path) -> None:
    """A table whose boxes are corners."""
    import pyarrow as pa
    from parquet_tables import cells, write

    objects = [{"bbox": [[1.0, 2.0, 9.0, 8.0]], "category": [0]}] * 2
    write(path, pa.table({"image": cells(range(2)), "objects": objects}))


def shards(all_of: StandIns, path: Path) -> None:
    from tar_shards import sample, write_tar

    for number in range(2):
        images = (sample(f"{number}-{n}", synthetic.picture(n), n % 2) for n in range(6))
        write_tar(path / f"train-{number:03}.tar", images)


def classifier_run(all_of: StandIns, path: Path) -> None:
    import runs

    runs.make_run(path, freqprep.open_store(all_of.original(photos_store))["train"])


def picture(all_of: StandIns, path: Path) -> None:
    path.write_bytes(synthetic.picture(1))


KINDS: dict[str, Callable[[StandIns, Path], None]] = {
    "photos": photos,
    "photos.zarr": photos_store,
    "mine.zarr": photos_store,
    "imagenet.zarr": train_store,
    "flowers17.zarr": photos_store,
    "shared/flowers17": photos,
    "coco.zarr": coco_store,
    "bccd.zarr": coco_store,
    "imagenet": imagenet,
    "data/coco": coco,
    "data/set": coco_set,
    "data/imagenet": imagenet,
    "shared/imagenet": imagenet,
    "found.bbox.json": coco_results,
    "mine.json": steps,
    "imagenette": tables,
    "imagenet-1k": tables,
    "corners.parquet": corner_table,
    "shards": shards,
    "runs/first": classifier_run,
    "runs/flowers": classifier_run,
    "cat.jpg": picture,
    "flowers17/val/daisy/image_0805.jpg": picture,
    "flowers17/val/tulip/image_0565.jpg": picture,
}
"""Name in the documentation -> what makes it; absolute paths are taken as relative ones."""
