"""Plan, permutation, manifest and opening for as many rows as ImageNet's training set."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from freqprep.ragged import Ragged
from freqprep.request import Request
from freqprep.sources import FileTable, Listing
from freqprep.store.layout import root_document, shard_path
from freqprep.store.manifest import FileEntry, Manifest
from freqprep.store.plan import load_plan, make_plan, permutation, save_plan
from freqprep.store.reader import open_store
from freqprep.store.schema import IMAGE_ARRAYS, SplitAttributes, library_versions
from freqprep.store.writer import Build
from tests.benchmarks.table import show

IMAGES = 1_281_167
CLASSES = 1000


def run(data: Path, folder: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "tests.benchmarks.scale", str(folder)]
    subprocess.run(command, check=True)  # a process of its own, so that its peak memory is its own
    return {}


def measure(folder: Path) -> None:
    rows: list[tuple[str, float, float]] = []

    def step(name: str, work: Callable[[], object]) -> object:
        began = time.monotonic()
        result = work()
        held = psutil.Process().memory_info().rss / 1e6
        rows.append((name, time.monotonic() - began, held))
        return result

    listing = step("make up a listing", _listing)
    step("permutation", lambda: permutation(IMAGES, 0))
    attributes = _attributes()
    plan = step("plan", lambda: make_plan(listing, attributes))
    build = Build(folder / "s.zarr", "train")
    build.start()
    step("save the plan", lambda: save_plan(plan, build.folder))
    step("load the plan", lambda: load_plan(build.folder))
    step("manifest", lambda: _manifest(attributes))
    step("write and publish all but the shards", lambda: _publish(folder, build, plan))
    show(("step", "seconds", "MB held after it"), rows)
    opening = [sys.executable, "-m", "tests.benchmarks.scale", str(folder), "open"]
    subprocess.run(opening, check=True)


def measure_opening(folder: Path) -> None:
    import freqprep  # noqa: F401 - its import is not part of opening

    before = psutil.Process().memory_info().rss
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    began = time.monotonic()
    split = open_store(folder / "s.zarr")["train"]
    seconds = time.monotonic() - began
    files = [name for name in opened if "s.zarr" in name]
    began = time.monotonic()
    labels, valid, sizes = split.labels, split.valid, split.sizes
    assert len(labels) == len(valid) == len(sizes) == IMAGES
    arrays = time.monotonic() - began
    more = (psutil.Process().memory_info().rss - before) / 1e6
    show(
        ("step", "seconds", "files opened", "MB more"),
        [("open", seconds, len(files), ""), ("labels, valid, sizes", arrays, "", more)],
    )


def _listing() -> Listing:
    labels = np.arange(IMAGES, dtype=np.int64) * CLASSES // IMAGES
    keys = Ragged.of_bytes(
        b"n%08d/n%08d_%d.JPEG" % (label, label, number)
        for number, label in enumerate(labels.tolist())
    )
    fixed = np.full(IMAGES, 110_000, np.int64)
    files = FileTable(keys, np.full(IMAGES, -1, np.int64), fixed, fixed)
    return Listing("train", "train", keys, labels, files)


def _attributes() -> SplitAttributes:
    ids = tuple(f"n{label:08}" for label in range(CLASSES))
    encoding = Request("imagenet", Path(), Path()).encoding
    return SplitAttributes(
        "train", "train", "imagenet", IMAGES, 0, encoding, 0, ids, ids, library_versions()
    )


def _manifest(attributes: SplitAttributes) -> bytes:
    shards = -(-IMAGES // 128)
    paths = (shard_path(Path(), shard).as_posix() for shard in range(shards))
    return Manifest(attributes.to_dict(), dict.fromkeys(paths, FileEntry(1, "0" * 64))).to_bytes()


def _publish(folder: Path, build: Build, plan: object) -> None:
    """Publish with empty shard files: their content is not what is measured."""
    from freqprep.store.plan import Plan

    assert isinstance(plan, Plan)
    shards = {}
    for shard in range(plan.shards):
        path = shard_path(build.split_folder, shard)
        path.parent.mkdir(parents=True)
        path.touch()
        shards[path.relative_to(build.split_folder).as_posix()] = FileEntry(0, "0" * 64)
    ones = {"image": IMAGES, "image_edge": IMAGES + 1, "channel": 192, "side": 2}
    arrays = {
        name: np.ones([ones.get(d, 8) for d in spec.dimensions], spec.dtype)
        for name, spec in IMAGE_ARRAYS.items()
    }
    arrays |= {"key": plan.rows.keys.values, "key_offset": plan.rows.keys.offsets}
    arrays |= {"label": plan.rows.labels, "listing_index": plan.listing_index}
    (folder / "s.zarr/zarr.json").write_bytes(root_document())
    with build.aside() as aside:
        build.publish(plan.attributes, arrays, IMAGE_ARRAYS, shards, aside)


if __name__ == "__main__":
    target = Path(os.fspath(sys.argv[1]))
    measure_opening(target) if len(sys.argv) > 2 else measure(target)
