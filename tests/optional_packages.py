"""Tests that need a package of the extras skip where it is not installed, and say which."""

import re
from importlib.util import find_spec

import pytest

NO_MODULE = re.compile(r"(?:ModuleNotFoundError|MissingPackageError)\b.*No module named '(\w+)")
NOT_INSTALLED = re.compile(r"(?:MissingPackageError|error): the package (\w+) is not installed")
OPTIONAL = {
    "accelerate",
    "boto3",
    "cv2",
    "datasets",
    "distributed",
    "faster_coco_eval",
    "flask",
    "hatchling",
    "lightning",
    "matplotlib",
    "numba",
    "obstore",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "ray",
    "selenium",
    "skimage",
    "tensorstore",
    "timm",
    "torch",
    "torchvision",
    "transformers",
    "triton",
    "webdataset",
    "xarray",
    "zarrs",
}
"""Modules of the extras: what the core needs is never excused."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """Skip a file that imports one of them in vain."""
    report = yield
    skip_if_missing(report, str(report.longrepr), collector.path, None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Skip a test, or all of a fixture, that comes to ask for one of them."""
    report = yield
    if call.excinfo is not None:
        skip_if_missing(report, call.excinfo.exconly(), *item.location[:2])
    return report


def skip_if_missing(
    report: pytest.CollectReport | pytest.TestReport, said: str, path: object, line: int | None
) -> None:
    """Turn a failure into a skip if one of the extras' modules is the reason, and not there."""
    found = NO_MODULE.search(said) or NOT_INSTALLED.search(said)
    if report.failed and found and found[1] in OPTIONAL and find_spec(found[1]) is None:
        report.outcome = "skipped"
        report.longrepr = (str(path), line, f"Skipped: {found[1]} is not installed")
