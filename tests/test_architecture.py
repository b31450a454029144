"""The architecture page names files, folders and classes that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
STARTS = (ROOT / "freqprep", ROOT)
"""Folders that the paths of the page start from."""

SOURCE = "\n".join(
    path.read_text() for folder in ("freqprep", "cli") for path in (ROOT / folder).rglob("*.py")
)


def named_files() -> list[str]:
    """Paths of the Python files that the page names, without those it calls new.

    A file named without its folder is in the folder of the file named before it, or directly in
    ``freqprep/``.
    """
    found, folder = [], ""
    for path, name, new in re.findall(r"((?:\w+/)*)(\w+\.py)\b`?( \(new\))?", PAGE):
        folder = path or folder
        in_package = not path and (ROOT / "freqprep" / name).exists()
        if not new:
            found.append(name if in_package else f"{folder}{name}")
    return sorted({*found})


FOLDERS = sorted({*re.findall(r"(?<![\w/.-])((?:\w+/)+)(?=[`\s])", PAGE)})
NAMES = sorted({*re.findall(r"`(_?[A-Z]\w+)`", PAGE)})


@pytest.mark.parametrize("path", named_files())
def test_files_exist(path):
    assert any((start / path).is_file() for start in STARTS)


@pytest.mark.parametrize("path", FOLDERS)
def test_folders_exist(path):
    assert any((start / path).is_dir() for start in STARTS)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_in_the_code(name):
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("*/test_*.py"))
    assert re.search(rf"\b{name}\b", SOURCE + tests)


def test_every_package_is_in_the_data_flow():
    flow = PAGE.split("## Data flow")[1].split("## Layers")[0]
    packages = [path.parent.name for path in (ROOT / "freqprep").glob("*/__init__.py")]
    assert [name for name in packages if not re.search(rf"\b{name}/", flow)] == []
