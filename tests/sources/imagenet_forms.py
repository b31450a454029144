"""Build a tiny ImageNet in each form, and read back what a listing says."""

import csv
import io
import os
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from freqprep.sources import read_image_bytes
from freqprep.sources.listing import Discovered, Listing

TRAIN_WNIDS = ["n01440764", "n02012849", "n03126707"]
VAL_WNIDS = ["n03126707", "n01440764", "n01443537", "n01440764"]  # of val images 1, 2, ...

# As in the real devkit, the ids are not in the order of the wnids.
DEVKIT_IDS = {"n03126707": 1, "n01440764": 4, "n01443537": 2, "n02012849": 3, "n00001740": 1001}


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 10 * number).save(buffer, "JPEG")
    return buffer.getvalue()


def train_images() -> dict[str, dict[str, bytes]]:
    return {
        wnid: {f"{wnid}_{n}.JPEG": jpeg(10 * c + n) for n in (10, 2, 1)}
        for c, wnid in enumerate(TRAIN_WNIDS)
    }


def val_images() -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{n:08}.JPEG": jpeg(n) for n in range(1, len(VAL_WNIDS) + 1)}


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tar(files: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def devkit_files() -> dict[str, bytes]:
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("gloss", object)]
    rows = [(id_, wnid, "a word, another", "a gloss") for wnid, id_ in DEVKIT_IDS.items()]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, fields).reshape(-1, 1)})
    truth = "".join(f"{DEVKIT_IDS[wnid]}\n" for wnid in VAL_WNIDS)
    return {
        "meta.mat": meta.getvalue(),
        "ILSVRC2012_validation_ground_truth.txt": truth.encode(),
    }


def solution() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["ImageId", "PredictionString"])
    for number, wnid in reversed(list(enumerate(VAL_WNIDS, 1))):
        objects = f"{wnid} 98 43 400 310 " * number
        writer.writerow([f"ILSVRC2012_val_{number:08}", objects])
    return text.getvalue().encode()


def train_folders(root: Path) -> None:
    for wnid, files in train_images().items():
        for name, content in files.items():
            put(root / wnid / name, content)


def flat(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        put(root / name, content)


def as_folders(root: Path) -> None:
    train_folders(root / "train")
    for wnid, (name, content) in zip(VAL_WNIDS, val_images().items(), strict=True):
        put(root / "val" / wnid / name, content)


def as_kaggle(root: Path) -> None:
    inner = root / "ILSVRC/Data/CLS-LOC"
    train_folders(inner / "train")
    flat(inner / "val", val_images())
    flat(inner / "test", {"ILSVRC2012_test_00000001.JPEG": jpeg(1)})
    put(root / "LOC_val_solution.csv", solution())


def as_kaggle_without_its_folder(root: Path) -> None:
    as_kaggle(root)
    os.rename(root / "ILSVRC/Data", root / "Data")


def as_archives(root: Path) -> None:
    inner = {f"{wnid}.tar": tar(files) for wnid, files in reversed(train_images().items())}
    put(root / "ILSVRC2012_img_train.tar", tar(inner))
    put(root / "ILSVRC2012_img_val.tar", tar(dict(reversed(val_images().items()))))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in devkit_files().items():
            info = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/data/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    put(root / "ILSVRC2012_devkit_t12.tar.gz", packed.getvalue())


def as_other_writers_archives(root: Path) -> None:
    """Members under ./ and in folders of their own, in the pax format."""
    inner = {
        f"./{wnid}.tar": tar({f"./{wnid}/{n}": c for n, c in files.items()}, tarfile.PAX_FORMAT)
        for wnid, files in train_images().items()
    }
    put(root / "ILSVRC2012_img_train.tar", tar(inner, tarfile.PAX_FORMAT))
    put(root / "ILSVRC2012_img_val.tar", tar({f"val/{n}": c for n, c in val_images().items()}))
    flat(root / "ILSVRC2012_devkit_t12/data", devkit_files())


def as_inner_archives_and_flat_val(root: Path) -> None:
    for wnid, files in train_images().items():
        put(root / "train" / f"{wnid}.tar", tar(files))
    flat(root / "val", val_images())
    flat(root / "ILSVRC2012_devkit_t12", devkit_files())


def as_folders_and_val_archive(root: Path) -> None:
    train_folders(root / "train")
    put(root / "ILSVRC2012_img_val.tar", tar(val_images()))
    put(root / "LOC_val_solution.csv", solution())


FORMS = [
    as_folders,
    as_kaggle,
    as_kaggle_without_its_folder,
    as_archives,
    as_other_writers_archives,
    as_inner_archives_and_flat_val,
    as_folders_and_val_archive,
]


def keys(listing: Listing) -> list[bytes]:
    return [listing.keys.bytes_at(row) for row in range(len(listing))]


def contents(root: Path, listing: Listing) -> list[bytes]:
    files = listing.files
    return [
        read_image_bytes(
            root,
            files.paths.bytes_at(row),
            int(files.offset[row]),
            int(files.length[row]),
            int(files.version[row]),
            10_000,
        )
        for row in range(len(listing))
    ]


def rows(root: Path, found: Discovered) -> dict[str, list[tuple[bytes, int, bytes]]]:
    return {
        name: list(
            zip(keys(listing), listing.labels.tolist(), contents(root, listing), strict=True)
        )
        for name, listing in found.listings.items()
    }


def expected_rows() -> dict[str, list[tuple[bytes, int, bytes]]]:
    wnids = sorted({*TRAIN_WNIDS, *VAL_WNIDS})
    train = [(w, name, data) for w, files in train_images().items() for name, data in files.items()]
    val = [
        (wnid, name, data)
        for wnid, (name, data) in zip(VAL_WNIDS, val_images().items(), strict=True)
    ]
    return {
        split: sorted((f"{w}/{name}".encode(), wnids.index(w), data) for w, name, data in images)
        for split, images in {"train": train, "val": val}.items()
    }
