"""Small image folders and stores, the command in a subprocess, and damaged stores."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import zarr
from freqprep_cli.main import main
from PIL import Image

from freqprep.convert.run import Request, convert
from freqprep.storage.paths import hash_file, walk_files
from freqprep.store.layout import shard_number
from freqprep.store.manifest import (
    GROUP_DOCUMENT,
    MANIFEST,
    Manifest,
    content_id,
    group_document,
    read_manifest,
)

CLASSES = ("apple", "brick", "cloud")


def pixels(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    """Smooth colours with some noise: non-zero codes of every frequency."""
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    smooth = np.asarray(smooth.resize((width, height), Image.Resampling.BILINEAR), np.int16)
    noise = rng.integers(-12, 13, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, form: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def picture(seed: int) -> bytes:
    """Bytes of a JPEG, sometimes a PNG or a grey image; the seed determines the size."""
    image = pixels(seed, 17 + seed % 19, 40 - seed % 23)
    if seed % 7 == 3:
        return encoded(image, "PNG")
    if seed % 7 == 5:
        return encoded(image[..., 0], quality=85)
    return encoded(image, quality=80)


def broken(seed: int) -> bytes:
    """Bytes that cannot be converted; the seed determines the defect."""
    whole = encoded(pixels(seed, 40, 40))
    return (b"", b"not an image at all", whole[: len(whole) // 2], whole[:40])[seed % 4]


def image_folder(root: Path, splits: Mapping[str, int], corrupt: int = 0) -> Path:
    """Write ``root/split/class/name.jpg``; the last ``corrupt`` images of each split are broken."""
    for number, (split, count) in enumerate(splits.items()):
        for index in range(count):
            folder = root / split / CLASSES[index % len(CLASSES)]
            folder.mkdir(parents=True, exist_ok=True)
            seed = 10_000 * number + index
            data = broken(index) if index >= count - corrupt else picture(seed)
            (folder / f"{index:05}.jpg").write_bytes(data)
    return root


def make(source: Path, store: Path, **options) -> Path:
    """Convert in this process, at size 32 by default."""
    options = {"kind": "imagefolder", "size": 32, "jobs": 1} | options
    convert(Request(source=source, store=store, **options))
    return store


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file under a folder, by relative path."""
    return {name: (folder / name).read_bytes() for name in walk_files(folder)}


def digest(folder: Path) -> str:
    """Hash of the paths and bytes of all files under a folder."""
    total = hashlib.sha256()
    for name, data in contents(folder).items():
        total.update(f"{name}\0{len(data)}\0".encode())
        total.update(data)
    return total.hexdigest()


_ESCAPED = "backslashreplace"
MAIN = "from freqprep_cli.main import main; main()"


def command(*arguments: str | Path | bytes, program: str = MAIN) -> list[str | bytes]:
    """Command line of ``freqprep`` with this interpreter."""
    words = [os.fspath(argument) for argument in arguments]
    return [sys.executable, "-c", program, *words]


def in_a_process(
    *arguments: str | Path | bytes, program: str = MAIN, **options
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own; return exit code, stdout and stderr."""
    options["env"] = {**os.environ, "PYTHONWARNINGS": "default", **options.get("env", {})}
    return subprocess.run(
        command(*arguments, program=program),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=300,
        check=False,
        **options,
    )


def freqprep(
    *arguments: str | Path | bytes, cwd: Path | None = None, together: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which has imported all of it; as `in_a_process`.

    With ``together``, what goes to stderr is in stdout as well, in the order of writing.

    A process takes most of a second to start. It is for what needs one: variables that libraries
    read at their start, signals, and workers that are to be seen to end.
    """
    words = ["freqprep", *map(os.fsdecode, arguments)]
    output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", how) for how in ("strict", _ESCAPED))
    if together:
        output = errors
    code: object = 0
    with (
        mock.patch.object(sys, "argv", words),
        mock.patch.multiple(sys, stdout=output, stderr=errors),
        contextlib.chdir(cwd or os.getcwd()),
        warnings.catch_warnings(),
        _handler_of(signal.SIGTERM),
    ):
        warnings.simplefilter("default")
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:  # as the interpreter does
            traceback.print_exc()
            code = 1
    texts = []
    for stream in (output, errors):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(errors="surrogateescape"))
    return subprocess.CompletedProcess(words, code, *texts)


@contextlib.contextmanager
def _handler_of(number: signal.Signals) -> Iterator[None]:
    before = signal.getsignal(number)
    try:
        yield
    finally:
        signal.signal(number, before)


def freqprep_json(*arguments: str | Path | bytes, code: int = 0, run=freqprep, **options) -> dict:
    """Run the command with --json; return the object on stdout."""
    done = run(*arguments, "--json", **options)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def reseal(split: Path) -> str:
    """Rewrite manifest and group document for the present files; return the new content id."""
    manifest, _ = read_manifest(split)
    names = [name for name in walk_files(split) if name not in (MANIFEST, GROUP_DOCUMENT)]
    if manifest.two_levels:
        names = [name for name in names if shard_number(name) is None]
    return write_manifest(
        split, Manifest(manifest.attributes, {name: hash_file(split / name) for name in names})
    )


def replace_array(split: Path, name: str, values: np.ndarray) -> None:
    """Write another array in the place of one, and make all hashes fit."""
    shutil.rmtree(split / name)
    zarr.create_array(split / name, data=values, config={"write_empty_chunks": True})
    reseal(split)


def write_manifest(split: Path, manifest: Manifest) -> str:
    data = manifest.to_bytes()
    identity = content_id(data)
    (split / MANIFEST).write_bytes(data)
    (split / GROUP_DOCUMENT).write_bytes(group_document(manifest, identity, split))
    return identity


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def copies(store: Path, folder: Path) -> Iterator[Path]:
    """Yield fresh copies of a store; each is removed when the next one is requested."""
    number = 0
    while True:
        copy = folder / f"copy-{number}.zarr"
        shutil.copytree(store, copy)
        yield copy
        shutil.rmtree(copy)
        number += 1
