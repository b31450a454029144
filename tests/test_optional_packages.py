"""Tests that need a package which is not there skip; any other failure stays one."""

from types import SimpleNamespace

import optional_packages
import pytest
from optional_packages import skip_if_missing

REASONS = [
    "ModuleNotFoundError: No module named 'torch'",
    "ModuleNotFoundError: No module named 'torch.nn'",
    "freqprep.errors.MissingPackageError: torch cannot be imported: No module named 'torch'; pip",
    "freqprep.errors.MissingPackageError: the package torch is not installed; pip install it",
]


def outcome(said: str) -> tuple[str, object]:
    report = SimpleNamespace(failed=True, outcome="failed", longrepr=said)
    skip_if_missing(report, said, "tests/test_x.py", 3)
    return report.outcome, report.longrepr


@pytest.mark.parametrize("said", REASONS)
def test_what_is_not_installed_is_skipped_by_name(said, monkeypatch):
    monkeypatch.setattr(optional_packages, "find_spec", lambda name: None)
    reason = ("tests/test_x.py", 3, "Skipped: torch is not installed")
    assert outcome(said) == ("skipped", reason)


@pytest.mark.parametrize("said", REASONS)
def test_a_test_of_an_installed_package_fails(said, monkeypatch):
    monkeypatch.setattr(optional_packages, "find_spec", lambda name: object())
    assert outcome(said) == ("failed", said)


@pytest.mark.parametrize(
    "said", ["ModuleNotFoundError: No module named 'zarr'", "KeyError: 'torch'"]
)
def test_nothing_else_is_excused(said, monkeypatch):
    monkeypatch.setattr(optional_packages, "find_spec", lambda name: None)
    assert outcome(said) == ("failed", said)
