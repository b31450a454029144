"""Environments of other versions, made with uv from what pyproject.toml states."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("build", "twine", "uv")
WITHOUT_TORCH = ("test",)
"""Extras whose packages are installed, but for those of `LEFT_OUT`."""

LEFT_OUT = ("torch", "torchvision", "triton")
"""Gigabytes of CUDA from the registry: what needs them is tested by ``make test``."""

SHOWN = ("zarr", "numcodecs", "numpy", "pillow")


@dataclass(frozen=True)
class Environment:
    """One row of the table.

    Parameters
    ----------
    name
        Its name on the command line and in the table.
    python
        Version of Python, as in ``python3.12``.
    resolution
        How uv picks versions: ``highest``, or ``lowest-direct`` for the bounds that are stated.
    bare
        The wheel with its dependencies alone, without tests.
    """

    name: str
    python: str
    resolution: str = "highest"
    bare: bool = False


ENVIRONMENTS = (
    Environment("wheel", "3.11", bare=True),
    Environment("lowest", "3.11", "lowest-direct"),
    Environment("newest-3.11", "3.11"),
    Environment("newest-3.12", "3.12"),
    Environment("newest-3.13", "3.13"),
)


def run(*words: str | Path, **options) -> str:
    """Run a command that must succeed; return its stdout."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_tools(folder: Path, python: str) -> Path:
    """Make an environment of `TOOLS`; return the folder of its commands."""
    run(python, "-m", "venv", folder)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", *TOOLS)
    return folder / "bin"


def build(tools: Path, tree: Path, folder: Path) -> tuple[Path, Path]:
    """Build the distributions of a tree, and check that their pages render.

    Returns
    -------
    tuple of Path
        The wheel, and the tree as it is in the source distribution.
    """
    run(tools / "python", "-m", "build", "--outdir", folder / "dist", tree)
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    run(tools / "twine", "check", "--strict", wheel, sdist)
    shutil.unpack_archive(sdist, folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    return wheel, source


def make(environment: Environment, folder: Path, tools: Path, wheel: Path, source: Path) -> Path:
    """Make an environment; return the folder of its commands."""
    run(find_python(environment.python), "-m", "venv", folder)
    python, uv = folder / "bin/python", tools / "uv"
    listed = folder / "requirements.txt"
    override = folder / "left-out.txt"
    override.write_text("".join(f"{name}; sys_platform == 'none'\n" for name in LEFT_OUT))
    extras = [] if environment.bare else [f"--extra={name}" for name in WITHOUT_TORCH]
    run(
        *(uv, "pip", "compile", "--quiet", f"--resolution={environment.resolution}"),
        *(f"--python={python}", f"--override={override}", *extras),
        *(source / "pyproject.toml", f"--output-file={listed}"),
    )
    install = (uv, "pip", "install", "--quiet", f"--python={python}", "--no-deps")
    run(*install, "--requirement", listed)
    run(*install, *((wheel,) if environment.bare else ("--editable", source)))
    return folder / "bin"


def find_python(version: str) -> str:
    """Return the command of a version of Python, on the PATH."""
    command = f"python{version}"
    if shutil.which(command) is None:
        raise SystemExit(f"{command} is not on the PATH: install it, or leave it out by --only")
    return command


def versions(commands: Path) -> dict[str, str]:
    """Return the version of Python in an environment, and those of `SHOWN`."""
    program = (
        "import importlib.metadata as m, json, platform, sys\n"
        "shown = {name: m.version(name) for name in sys.argv[1:]}\n"
        "print(json.dumps({'python': platform.python_version()} | shown))"
    )
    return json.loads(run(commands / "python", "-c", program, *SHOWN))


def clean_variables() -> dict[str, str]:
    """Return the variables for commands of an environment: nothing leads to another tree."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return kept | {"OMP_NUM_THREADS": "1", "FREQPREP_PROGRESS": "0"}
