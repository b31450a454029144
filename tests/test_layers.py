"""Structure of the code: layers of imports, modules without torch, lengths and names of files."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "freqprep", ROOT / "cli" / "freqprep_cli")
LARGEST = 350

PICTURE = (ROOT / "docs" / "architecture.md").read_text().split("## Layers")[1]
PICTURE = PICTURE.split("```text\n")[1].split("```")[0]
PLACES = {path.stem for package in PACKAGES for path in (package, *package.iterdir())}


def floors() -> list[list[str]]:
    """Packages and modules of each layer of the picture, from the lowest up."""
    lines = reversed(PICTURE.strip().splitlines())
    return [list(itertools.takewhile(PLACES.__contains__, line.split())) for line in lines]


FLOOR = {name: number for number, names in enumerate(floors()) for name in names}
# These import torch inside functions only: importing them works without torch.
TORCH_WHEN_USED = {
    "freqprep.importance.network_evaluation",
    "freqprep.models",
    "freqprep.models.rgb",
    "freqprep.models.torchvision_ops",
    "freqprep.models.weight_files",
    "freqprep.streaming.batch",
    "freqprep.streaming.dataset",
    "freqprep.streaming.delivery",
    "freqprep.streaming.loader",
    "freqprep.streaming.memory",
    "freqprep.streaming.misuse",
    "freqprep.streaming.ranks",
}
# These import torch when loaded, so no other module imports them when loaded.
TORCH_SIDE = ("freqprep.augment", "freqprep.models", "freqprep.training")

FILES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
ALL = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "docs").rglob("*.py"))]


def module(path: Path) -> str:
    base = ROOT / "cli" if "freqprep_cli" in path.parts else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(name: str) -> int:
    package, *inside = name.split(".")
    if inside == ["__main__"]:  # starts the command line, from above it
        return len(floors())
    return FLOOR[inside[0]] if inside and package == "freqprep" else FLOOR[package]


MODULES = {module(path): path for path in FILES}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inside if name in MODULES]
            yield from modules
            if len(modules) < len(inside):
                yield node.module


def ours(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] in ("freqprep", "freqprep_cli")}


def test_the_picture_shows_each_package_once_and_nothing_else():
    shown = [name for names in floors() for name in names]
    inside = {name.split(".")[1] for name in MODULES if name.startswith("freqprep.")}
    inside -= {"__main__"}
    assert sorted(shown) == sorted(inside | {package.name for package in PACKAGES})


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name):
    for imported in ours(MODULES[name]):
        assert imported in MODULES, f"{name} imports {imported}"
        assert floor(imported) <= floor(name), f"{name} imports {imported}, which is above it"


LOOSE = {"__init__", "__main__", "allocation", "arguments", "compilation", "errors", "progress"}
LOOSE |= {"ragged"}


def test_modules_live_in_a_package():
    assert {path.stem for path in (ROOT / "freqprep").glob("*.py")} <= LOOSE


def test_no_imports_in_a_circle():
    graph = {name: ours(path) for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"a circle: {' -> '.join([*trail, name])}"
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def needs_torch(name: str) -> bool:
    inside = any(name == side or name.startswith(f"{side}.") for side in TORCH_SIDE)
    return inside and name not in TORCH_WHEN_USED


def when_loaded(path: Path) -> set[str]:
    """Modules imported when a module is loaded, without those under TYPE_CHECKING."""
    loaded = ast.parse(path.read_text()).body
    return {
        *(alias.name for node in loaded if isinstance(node, ast.Import) for alias in node.names),
        *(node.module or "" for node in loaded if isinstance(node, ast.ImportFrom)),
        *(
            f"{node.module}.{alias.name}"
            for node in loaded
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ),
    }


OUTSIDE = sorted(name for name in MODULES if not needs_torch(name))


@pytest.mark.parametrize("name", OUTSIDE)
def test_only_the_torch_side_needs_torch_to_load(name):
    names = when_loaded(MODULES[name])
    assert not {"torch", "torchvision"} & {imported.split(".")[0] for imported in names}
    assert not [imported for imported in names if imported in MODULES and needs_torch(imported)]


@pytest.mark.parametrize("name", sorted({*OUTSIDE} - TORCH_WHEN_USED))
def test_nothing_outside_the_torch_side_imports_torch(name):
    assert not {"torch", "torchvision"} & {i.split(".")[0] for i in imports(MODULES[name])}


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("freqprep.spectrum")])
def test_the_frequency_domain_is_pure_numpy(name):
    allowed = {"__future__", "numpy", "freqprep", "dataclasses", "functools", "collections"}
    allowed |= {"re", "math", "typing", "itertools"}
    assert {imported.split(".")[0] for imported in imports(MODULES[name])} <= allowed


def test_modules_are_named_for_what_they_do():
    vague = {"utils", "util", "common", "helpers", "helper", "misc", "base", "core", "tools"}
    assert not [path for path in ALL if path.stem in vague or path.parent.name in vague]


def test_no_file_is_too_long_to_read():
    lengths = {path: path.read_text().count("\n") for path in ALL}
    assert {str(path): n for path, n in lengths.items() if n > LARGEST} == {}


def test_test_files_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.stem != "__init__"]
    names = [name for name in names if name.startswith("test_")]
    assert len(names) == len(set(names))
