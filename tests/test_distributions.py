"""Distributions: the wheel has the packages alone, the source distribution the tests."""

import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import freqprep

ROOT = Path(__file__).resolve().parents[1]
RELEASE = f"freqprep-{freqprep.__version__}"


def files(folder: Path, under: Path) -> set[str]:
    """Paths of a folder's files, relative to another, but for what Python leaves there."""
    return {
        path.relative_to(under).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")))
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_the_wheel_has_the_packages_and_what_describes_them(wheel):
    cli = ROOT / "cli"
    packages = files(ROOT / "freqprep", ROOT) | files(cli / "freqprep_cli", cli)
    described = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert set(wheel.namelist()) == packages | {f"{RELEASE}.dist-info/{n}" for n in described}
    assert "freqprep/py.typed" in packages


def test_the_core_asks_for_no_package_of_the_extras(wheel):
    metadata = wheel.read(f"{RELEASE}.dist-info/METADATA").decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    core = " ".join(line for line in needed if "extra ==" not in line)
    assert "zarr" in core and not any(name in core for name in ("torch", "numba", "matplotlib"))
    assert "Requires-Python: >=3.11" in metadata


def test_the_source_distribution_has_all_that_the_tests_read(tmp_path):
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path))
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("freqprep", "cli", "docs", "tests", ".ci", ".github"):
        assert files(ROOT / folder, ROOT) <= names, folder
    assert {"Makefile", "constraints.txt", "mkdocs.yml", "README.md", "CONTRIBUTING.md"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops.isdisjoint({".git", ".venv", "demo", "dist", "site"})
