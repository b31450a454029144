"""``import freqprep`` does not load packages that only some uses need."""

import subprocess
import sys

import pytest

ONLY_SOME_NEED = {
    "PIL",
    "faster_coco_eval",
    "joblib",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pandas",
    "pycocotools",
    "scipy",
    "simplejpeg",
    "skimage",
    "torch",
    "torchvision",
    "typer",
    "xarray",
    "zarr",
}


def loaded_by(code: str) -> set[str]:
    """Top-level packages loaded by some code, in a fresh interpreter."""
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(finished.stdout.split())


def test_the_package_loads_only_what_all_of_it_needs():
    assert loaded_by("import freqprep; freqprep.channels('paper-6')") & ONLY_SOME_NEED == set()


@pytest.mark.parametrize("module", ["freqprep.models", "freqprep.training", "freqprep.convert"])
def test_a_package_that_lists_modules_loads_no_torch(module):
    assert loaded_by(f"import {module}") & {"torch", "torchvision"} == set()


@pytest.mark.parametrize(
    "module", ["freqprep.convert.run", "freqprep.sources", "freqprep.convert.estimate"]
)
def test_converting_loads_scipy_for_no_source_but_the_devkit(module):
    assert "scipy" not in loaded_by(f"import {module}")


def test_the_help_of_the_command_waits_for_no_slow_import():
    slow = {"joblib", "matplotlib", "scipy", "torch", "torchvision", "xarray", "zarr"}
    assert loaded_by("import freqprep_cli.app") & slow == set()


def test_reading_a_split_loads_none_of_them(store):
    read = f"split = freqprep.open_store({str(store)!r})['train']; split.labels; split.read([0])"
    assert loaded_by(f"import freqprep; {read}") & ONLY_SOME_NEED == set()
    assert loaded_by(f"import freqprep; {read}; split.to_xarray()") & ONLY_SOME_NEED >= {"xarray"}
