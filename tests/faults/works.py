"""Commands that are disturbed, and what they give when nothing disturbs them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import synthetic
from faults.sandbox import Ended, Sandbox
from faults.tally import FILES, LOST, SAID, WRONG, Finding
from slow_server import SlowServer

IMAGES = 300
CODES = {"folder": 3}  # of a source with broken images
STORES = ("folder", "tables", "tars", "pack")
TINY = "--model mobilenet_v2 --channels paper-6 --grid 16 --batch-size 32 --epochs 2 --device cpu"


def snapshot(folder: Path) -> dict[str, str]:
    """Return the hash of each file below a folder, and an empty text for each folder."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(parent, name), folder) + "/"] = ""
        for name in names:
            path = Path(parent, name)
            if not name.endswith(".log"):  # of the store: it has the time
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def trained(folder: Path) -> dict[str, str]:
    """Return the hash of each tensor of a run, its measurements, and the names of its files."""
    import torch

    run = folder / "run"
    found = dict.fromkeys(snapshot(folder), "")
    if not (run / "checkpoint.pt").is_file():
        return found
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    for part in ("network", "average"):
        for name, tensor in state[part].items():
            data = tensor.contiguous().numpy().tobytes()
            found[f"{part} {name}"] = hashlib.sha256(data).hexdigest()
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    found["losses"] = str([(line["kind"], line["loss"]) for line in lines])
    return found


@dataclass(frozen=True)
class Work:
    """A command, and how its result is seen.

    Attributes
    ----------
    name : str
    words : tuple
        Of the command; ``"OUT/..."`` is a path in the folder of results.
    result : callable
        Everything that must be equal, by name, of the folder of results.
    seconds : float
        That it takes undisturbed.
    expected : mapping of str to str
        Its undisturbed result.
    printed : str
        Its undisturbed standard output.
    """

    name: str
    words: tuple[str, ...]
    result: Callable[[Path], Mapping[str, str]]
    seconds: float = 0.0
    expected: Mapping[str, str] | None = None
    printed: str = ""

    @property
    def code(self) -> int:
        """Exit code of success."""
        return CODES.get(self.name, 0)

    @property
    def again(self) -> tuple[str, ...]:
        """Options of the command that goes on."""
        return ("--overwrite",) if self.name == "stats" else ("--resume",)

    def command(self, box: Sandbox, jobs: int) -> list[str]:
        """Return the command line in a sandbox."""
        out = str(box.inner(box.out))
        words = [f"{out}{word[3:]}" if word.startswith("OUT/") else word for word in self.words]
        return words if self.name == "train" else [*words, "--jobs", str(jobs)]

    def check(self, box: Sandbox, ended: Ended) -> None:
        """Raise a finding unless a command has ended as if nothing had disturbed it."""
        assert self.expected is not None
        if ended.code != self.code:
            raise Finding(SAID, f"exit code {ended.code}: {ended.err[-600:]}")
        found = self.result(box.out)
        if extra := sorted(found.keys() - self.expected.keys()):
            raise Finding(FILES, f"beside the result: {extra[:5]}")
        if missing := sorted(self.expected.keys() - found.keys()):
            raise Finding(LOST, f"{missing[:5]}")
        if other := [name for name in found if found[name] != self.expected[name]]:
            raise Finding(WRONG, f"{other[:5]}")
        if self.name == "stats" and ended.out != self.printed:
            raise Finding(WRONG, f"printed {ended.out[:300]}")
        if left := os.listdir(box.tmp):
            raise Finding(FILES, f"in TMPDIR: {left[:5]}")
        box.check_segments("after the end")

    def check_readable(self, box: Sandbox) -> None:
        """Raise a finding if a split can be opened that is not as if nothing had happened."""
        assert self.expected is not None
        store = box.out / "out.zarr"
        if self.name not in STORES or not store.is_dir():
            return
        for split in {name.split("/")[1] for name in self.expected if name.count("/") > 1}:
            if not split.startswith(".") and (store / split).is_dir():
                prefix = f"out.zarr/{split}/"
                whole = {n: h for n, h in self.expected.items() if n.startswith(prefix)}
                found = {f"{prefix}{n}": h for n, h in snapshot(store / split).items()}
                found[prefix] = ""
                if found != whole:
                    raise Finding(WRONG, f"a split is there that is not whole: {store / split}")


class Kit:
    """Sources, and works on them with their undisturbed results, each made when it is needed.

    Parameters
    ----------
    folder : Path
        For everything.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials = folder / "trials"
        self.trials.mkdir()
        self._works: dict[str, Work] = {}
        self._kept: dict[str, Any] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Kit:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def images(self) -> Path:
        """Folder of images in two splits, some of them broken."""
        return synthetic.image_folder(self.folder / "images", {"train": IMAGES, "val": 20}, 4)

    @cached_property
    def store(self) -> Path:
        """Store of `images`."""
        return synthetic.make(self.images, self.folder / "store" / "in.zarr")

    @cached_property
    def hashes(self) -> dict[str, str]:
        """MD5 of each file of `store`, as a server states it."""
        files = (path for path in self.store.rglob("*") if path.is_file())
        named = {str(path.relative_to(self.store)): path.read_bytes() for path in files}
        return {name: hashlib.md5(data).hexdigest() for name, data in named.items()}

    @cached_property
    def server(self) -> SlowServer:
        """An object store that does as it is told."""
        return self._open.enter_context(SlowServer())

    @cached_property
    def tables(self) -> Path:
        """Folder of tables with images in them."""
        from parquet_tables import labelled

        for number in range(2):
            path = self.folder / f"tables/train-{number:05}-of-00002.parquet"
            labelled(path, [n % 3 for n in range(150)], 150 * number, row_group_size=40)
        return self.folder / "tables"

    @cached_property
    def tars(self) -> Path:
        """Folder of tar shards."""
        folder = self.folder / "tars"
        folder.mkdir()
        for number in range(2):
            with tarfile.open(folder / f"train-{number:06}.tar", "w") as tar:
                for index in range(130):
                    seed = 130 * number + index
                    _put(tar, f"{seed:05}.jpg", synthetic.encoded(synthetic.pixels(seed)))
                    _put(tar, f"{seed:05}.cls", str(seed % 3).encode())
        return folder

    def work(self, name: str) -> Work:
        """Return a work; it is done undisturbed once, for its result and its time."""
        if name not in self._works:
            words: dict[str, Callable[[], tuple[Any, ...]]] = {
                "folder": lambda: ("convert", "imagefolder", self.images, "OUT/out.zarr"),
                "tables": lambda: ("convert", "parquet", self.tables, "OUT/out.zarr"),
                "tars": lambda: ("convert", "webdataset", self.tars, "OUT/out.zarr"),
                "pack": lambda: ("pack", self.store, "OUT/out.zarr", "--channels", "paper-48"),
                "stats": lambda: ("stats", self.store, "--split", "train", "--json"),
                "train": lambda: ("train", self.store, *TINY.split(), "--run", "OUT/run"),
            }
            more = {"pack": ("--level", "9"), "stats": ("-o", "OUT/chosen.json")}
            sized = ("--size", "32") if name in ("folder", "tables", "tars") else ()
            line = tuple(map(str, (*words[name](), *sized, *more.get(name, ()))))
            result = trained if name == "train" else snapshot
            self._works[name] = self._undisturbed(Work(name, line, result))
        return self._works[name]

    def _undisturbed(self, work: Work) -> Work:
        with self.sandbox() as box:
            began = time.monotonic()
            ended = box.run(*work.command(box, 1))
            seconds = time.monotonic() - began
            assert ended.code == work.code, ended.err
            expected = work.result(box.out)
            made = Work(work.name, work.words, work.result, seconds, expected, ended.out)
            made.check(box, ended)
            return made

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what is made once."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def sandbox(self, beside: Sandbox | None = None) -> Sandbox:
        """Return a new sandbox, with the same results as another one."""
        folder = self.trials / str(len(os.listdir(self.trials)))
        made = Sandbox(folder, None if beside is None else beside.out)
        made.variables["TORCHINDUCTOR_CACHE_DIR"] = str(self.folder / "torch")
        return made

    def clear(self) -> None:
        """Remove what trials have left."""
        shutil.rmtree(self.trials)
        self.trials.mkdir()


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, BytesIO(data))
