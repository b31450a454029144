"""Conversions that cannot begin, or do not end well."""

from __future__ import annotations

import contextlib
import resource
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import synthetic
from coco_folder import coco_folder
from situation import Situation

from freqprep.store.lock import store_lock


def convert_again(folder: Path, *options: str) -> None:
    """Convert the photographs of a folder into another store."""
    done = synthetic.freqprep("convert", "imagefolder", "photos", "new.zarr", *options, cwd=folder)
    assert done.returncode == 0, done.stderr


def plan(folder: Path) -> None:
    """Leave splits unfinished."""
    convert_again(folder, "--plan", "--size", "64")


def plan_and_delete(folder: Path) -> None:
    """Delete an image after it was planned."""
    plan(folder)
    (folder / "photos/train/cat/chelsea.png").unlink()


def many_photos(folder: Path) -> None:
    """As many images as several workers share."""
    for path in sorted((folder / "photos/train").rglob("*.jpg")):
        shutil.copyfile(path, path.with_stem(f"{path.stem}-again"))


def one_broken(folder: Path) -> None:
    """Cut an image off."""
    path = folder / "photos/train/cat/chelsea.png"
    path.write_bytes(path.read_bytes()[:200])


def loose_images(folder: Path) -> None:
    """Images of val that are in no class folders."""
    for path in sorted((folder / "photos/val").rglob("*.jpg")):
        path.rename(folder / "photos/val" / path.name)
    for empty in (path for path in (folder / "photos/val").iterdir() if path.is_dir()):
        empty.rmdir()


def another_class(folder: Path) -> None:
    """A class that the store does not know."""
    shutil.copytree(folder / "photos/val/cat", folder / "photos/val/dodo")


def other_files(folder: Path) -> None:
    """A folder with something else where the store shall be."""
    (folder / "new.zarr").mkdir()
    (folder / "new.zarr/thesis.tex").write_text("mine")


def without_solution(folder: Path) -> None:
    """Take the labels of ImageNet's val away."""
    (folder / "imagenet/LOC_val_solution.csv").unlink()


def misplaced_images(folder: Path) -> None:
    """COCO's images under other names than those listed."""
    coco_folder(folder / "cocos")
    for number, path in enumerate(sorted((folder / "cocos/val2017").iterdir())):
        path.rename(path.with_name(f"image-{number}.jpg"))


def yolo(folder: Path) -> None:
    """A data set as YOLO has it."""
    for name in ("images/train/1.jpg", "labels/train/1.txt"):
        path = folder / "objects" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(synthetic.picture(1) if name.endswith("jpg") else b"0 0.5 0.5 0.1 0.1\n")


@contextlib.contextmanager
def being_written(folder: Path) -> Iterator[str]:
    """Another command writes to the store."""
    with store_lock(folder / "new.zarr"):
        yield ""


@contextlib.contextmanager
def little_space(folder: Path) -> Iterator[str]:
    """No file may grow beyond 20 KB, which the system reports as it does a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield ""
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def worker_killed(folder: Path) -> Iterator[str]:
    """Kill the first worker that starts, as the system does where memory ran out."""
    before, ended = set(psutil.Process().children(recursive=True)), threading.Event()

    def kill() -> None:
        while not ended.wait(0.01):
            for process in set(psutil.Process().children(recursive=True)) - before:
                with contextlib.suppress(psutil.Error):
                    if "popen_loky" in " ".join(process.cmdline()):
                        process.kill()
                        return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield ""
    finally:
        ended.set()
        killer.join()


@contextlib.contextmanager
def little_memory(folder: Path) -> Iterator[str]:
    """No more memory than now and 4 GiB, which is enough for all but what is asked for."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + 2**32
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield ""
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


CONVERT = "freqprep convert imagefolder photos new.zarr"

CONVERTING = (
    Situation(
        "The store has the split already",
        "freqprep convert imagefolder photos photos.zarr",
        "Nothing finished is replaced unasked.",
        "`--overwrite` replaces the splits that the command names; `--split` names one; or give "
        "the store another name. "
        "([Replace or add a split](how-to/convert.md#replace-or-add-a-split).)",
    ),
    Situation(
        "An earlier conversion did not end",
        f"{CONVERT} --size 64",
        "It was interrupted, killed, or only planned; what it finished is kept.",
        "the same command with `--resume`. "
        "([Resume](how-to/convert.md#resume-after-an-interruption).)",
        make=plan,
    ),
    Situation(
        "It is resumed with other options",
        f"{CONVERT} --resume",
        "One split is made with the same options from beginning to end. Here `--size 64` was "
        "left out.",
        "the options of the first command, which are in `new.zarr.log`; or `--overwrite`.",
        make=plan,
    ),
    Situation(
        "The source changed meanwhile",
        f"{CONVERT} --size 64 --resume",
        "Rows were planned with the length and time of each file; another image under a name "
        "would be another data set.",
        "restore the file, or convert anew with `--overwrite`. A damaged image may be "
        "[repaired](how-to/convert.md#resume-after-an-interruption) as long as its row is not "
        "finished.",
        make=plan_and_delete,
    ),
    Situation(
        "Another command writes to the store",
        CONVERT,
        "One writer at a time; reading is always possible.",
        "wait, or stop the process that is named. The lock ends with its process, however that "
        "ends.",
        during=being_written,
    ),
    Situation(
        "The target is something else",
        CONVERT,
        "The folder has files of yours. Nothing was changed.",
        "name a path that does not exist.",
        make=other_files,
    ),
    Situation(
        "The disk is full",
        CONVERT,
        "The system refused to write: no space, a quota, or a limit on the size of files as here.",
        "free some space, and run the same command with `--resume`. `--dry-run` says how much is "
        "needed.",
        during=little_space,
    ),
    Situation(
        "Memory ran out",
        f"{CONVERT} --size 6144",
        "The system refused more memory, here by a limit (`ulimit -v`). Each job holds the codes "
        "of 128 images of the size that was asked for.",
        "fewer `--jobs`, a smaller `--size`, or a machine with more; `--dry-run` says how much is "
        "needed. ([Memory](how-to/plan.md#plan-disk-time-and-memory).)",
        during=little_memory,
    ),
    Situation(
        "A worker was killed",
        f"{CONVERT} --jobs 2",
        "Linux kills the process that takes the most when memory runs out.",
        "`--resume --jobs 1`, or fewer jobs than before; "
        "[memory](how-to/plan.md#plan-disk-time-and-memory) is bounded by a job.",
        make=many_photos,
        during=worker_killed,
    ),
    Situation(
        "Images were rejected",
        CONVERT,
        "An image that cannot be decoded whole is neither replaced nor used in part. The store "
        "is complete "
        "and can be used; the exit code is for scripts.",
        "see the list that is named; repair the files, then `--retry-rejected`; or allow as many "
        "with "
        "`--max-failures N`. ([Rejected images](how-to/images.md#deal-with-rejected-images).)",
        make=one_broken,
    ),
    Situation(
        "Images lie in no class folders",
        CONVERT,
        "The label of an image is the folder that it is in.",
        "folders of classes; lists of labels are not read, but ImageNet's. "
        "([Layouts](how-to/layouts.md#image-folders).)",
        make=loose_images,
    ),
    Situation(
        "The store does not know a class",
        "freqprep convert imagefolder photos photos.zarr --split val --overwrite",
        "The first conversion fixes the classes, so that labels mean the same in all splits.",
        "all splits together into a new store; or list all classes with `--classes FILE` in the "
        "first conversion.",
        make=another_class,
    ),
    Situation(
        "ImageNet's val has no labels",
        "freqprep convert imagenet imagenet imagenet.zarr",
        "Its images are in one folder; their classes are in a file that comes with the data.",
        "put `LOC_val_solution.csv` or the development kit into the source. "
        "([ImageNet](how-to/convert.md#convert-imagenet).)",
        make=without_solution,
    ),
    Situation(
        "None of the listed images is there",
        "freqprep convert coco cocos cocos.zarr",
        "The names in the annotation file lead to no file of the source.",
        "`--images DIR`, the folder that the listed names start from. "
        "([Layouts](how-to/layouts.md#annotations).)",
        make=misplaced_images,
    ),
    Situation(
        "The labels are in another format",
        "freqprep convert coco objects objects.zarr",
        "Objects are read from COCO's JSON and from Parquet tables.",
        "convert the labels with the tool that wrote them; most of them export COCO.",
        make=yolo,
    ),
)
