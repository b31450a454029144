"""Commands of an environment on a few images: they do the same everywhere."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

GOLDEN = ("format-1.0.zarr", "format-1.0-coco.zarr", "format-1.1.zarr")


def try_commands(
    commands: Path, source: Path, golden: Path, folder: Path, variables: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Convert, look at, verify and rank images; verify old stores; ask for what needs torch.

    Parameters
    ----------
    commands
        Folder of the environment's commands.
    source
        Image folder with the splits ``train`` and ``val``, and four broken files.
    golden
        Folder of the golden stores.
    folder
        Where to write.
    variables
        Environment variables of the commands.

    Returns
    -------
    tuple
        SHA-256 of the shards, and every problem.
    """
    problems: list[str] = []

    def call(*words: str | Path, code: int = 0, says: str = "") -> str:
        line = [str(commands / "freqprep"), *map(str, words)]
        done = subprocess.run(line, capture_output=True, text=True, env=variables, cwd=folder)
        said = done.stderr
        if done.returncode != code or says not in said or "Traceback" in said or "Warning" in said:
            problems.append(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{said}")
        return done.stdout

    store = folder / "photos.zarr"
    call("convert", "imagefolder", source, store, "--size", "64", "--max-failures", "4")
    shown = call("info", store, "--json")
    if not problems and json.loads(shown)["splits"].keys() != {"train", "val"}:
        problems.append(f"info: {shown}")
    call("verify", store, "--source", source)
    call("stats", store, "--split", "train", "--top", "24", "--json")
    for name in GOLDEN:
        call("verify", golden / name)
    if not list(commands.parent.glob("lib/python*/site-packages/torch")):
        run = folder / "run"
        for words in (
            ("train", store, "--model", "resnet50", "--run", run),
            ("evaluate", run, store),
            ("predict", run, source / "val"),
            ("export", run, "-o", folder / "model.onnx"),
        ):
            call(*words, code=1, says="torch is not installed; pip install 'freqprep[train]'")
    return shards_digest(store), problems


def shards_digest(store: Path) -> str:
    """Return the SHA-256 of the names and bytes of all shards of a store."""
    digest = hashlib.sha256()
    for path in sorted(store.glob("*/coefficients/c/**/*")):
        if path.is_file():
            digest.update(f"{path.relative_to(store)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
