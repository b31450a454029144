"""The project's own files: one command of checks, one version, the same Pythons everywhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import freqprep

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAKEFILE = (ROOT / "Makefile").read_text()
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def test_the_package_runs_as_a_module():
    done = run("-m", "freqprep", "--version")
    assert (done.stdout, done.stderr) == (f"freqprep {freqprep.__version__}\n", "")
    wrong = run("-m", "freqprep", "comvert")
    assert wrong.returncode == 2 and "did you mean convert?" in wrong.stderr


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    assert re.fullmatch(r"\d+\.\d+\.\d+", freqprep.__version__)


def test_ci_checks_and_tests():
    assert re.search(r"^ci: check test\b", MAKEFILE, re.M)
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nmake ci")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "run: bash .ci/run\n" in WORKFLOW
    assert "entry: make check\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_the_workflow_runs_each_python_that_is_named():
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: 3." in line]
    (matrix,) = re.findall(r"^ +python: \[(.*)\]$", WORKFLOW, re.M)
    assert re.findall(r"[\d.]+", matrix) == named
    assert PROJECT["requires-python"] == f">={named[0]}"


@pytest.mark.parametrize(
    "target", re.findall(r"make ([a-z]+)`", (ROOT / "CONTRIBUTING.md").read_text())
)
def test_the_guide_names_targets_that_exist(target):
    assert re.search(rf"^{target}: .*## ", MAKEFILE, re.M)
