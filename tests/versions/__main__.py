"""Test other versions of Python and libraries: ``python -m tests.versions [--only NAME ...]``.

Builds the distributions, makes an environment of each kind with `uv`, tries the wheel's commands
in all of them and runs the tests that need no torch. Prints a table; exit 1 where something fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "versions"), str(TESTS)]

import synthetic  # noqa: E402
from commands import try_commands  # noqa: E402
from environments import (  # noqa: E402
    ENVIRONMENTS,
    SHOWN,
    Environment,
    build,
    clean_variables,
    make,
    make_tools,
    versions,
)

FOLDERS = (
    *("golden", "spectrum", "images", "store", "sources", "convert", "pack", "cli"),
    *("storage", "importance", "drawing"),
)
"""Folders of tests that need no torch, or skip those that do; without those marked as long."""

HEAD = ("environment", "python", *SHOWN, "commands", "shards", "passed", "skipped", "failed")


def main() -> int:
    """Make and test the environments; return the exit code."""
    names = [environment.name for environment in ENVIRONMENTS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--folder", type=Path, help="to keep the environments and logs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="freqprep-versions-") as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        tools = make_tools(folder / "tools", sys.executable)
        wheel, source = build(tools, TESTS.parent, folder)
        images = synthetic.image_folder(folder / "images", {"train": 160, "val": 24}, corrupt=2)
        rows, failed = [], False
        for environment in ENVIRONMENTS:
            if environment.name in chosen.only:
                commands = make(environment, folder / environment.name, tools, wheel, source)
                row = try_environment(environment, commands, source, images)
                failed |= row["commands"] != "pass" or row["failed"] not in ("", "0")
                rows.append({"environment": environment.name} | versions(commands) | row)
                print(*rows[-1].values(), flush=True)
    print("\n" + "\n".join(table(rows)))
    return int(failed or len({row["shards"] for row in rows}) > 1)


def try_environment(
    environment: Environment, commands: Path, source: Path, images: Path
) -> dict[str, str]:
    """Try commands and tests; return the right half of a row, and print what is wrong."""
    folder = commands.parent
    variables = clean_variables()
    golden = source / "tests" / "golden"
    digest, problems = try_commands(commands, images, golden, folder, variables)
    print(*problems, sep="\n", end="")
    row = {"commands": "fail" if problems else "pass", "shards": digest[:8]}
    if environment.bare:
        return row | dict.fromkeys(("passed", "skipped", "failed"), "")
    results = folder / "results.xml"
    words = [str(commands / "python"), "-m", "pytest", "-rfE", "-p", "no:cacheprovider"]
    words += ["-m", "not long"]
    words += [f"--junitxml={results}", *(f"tests/{name}" for name in FOLDERS)]
    words += sorted(f"tests/{path.name}" for path in source.glob("tests/test_*.py"))
    with open(folder / "tests.log", "w+", encoding="utf-8") as log:
        spoken = {name: value for name, value in variables.items() if name != "FREQPREP_PROGRESS"}
        ended = subprocess.run(words, cwd=source, env=spoken, stdout=log, stderr=subprocess.STDOUT)
        log.seek(0)
        print(*(line for line in log if line.startswith(("FAILED", "ERROR"))), sep="", end="")
    return row | counts(results, ended.returncode)


def counts(results: Path, code: int) -> dict[str, str]:
    """Return how many tests passed, skipped and failed, as pytest's XML has it.

    ``code`` is pytest's exit code: it can fail after the last test.
    """
    if not results.is_file():
        return {"passed": "0", "skipped": "0", "failed": "no result"}
    (suite,) = ElementTree.parse(results).getroot().iter("testsuite")
    number = {name: int(suite.attrib[name]) for name in ("tests", "skipped")}
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    passed = number["tests"] - number["skipped"] - failed
    said = str(failed) if failed or not code else f"0, exit code {code}"
    return {"passed": str(passed), "skipped": str(number["skipped"]), "failed": said}


def table(rows: list[dict[str, str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *(tuple(row.values()) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
