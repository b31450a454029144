"""The demo prints what README and the tutorial show."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import DEMO, DOCS, ROOT, blocks


def comparable(text: str) -> list[str]:
    """Lines of the demo's output, numbers masked from training on: they depend on the processor."""
    before, command, after = text.partition("$ OMP_NUM_THREADS=1 freqprep train")
    lines = f"{before}{command}{masked(after)}".splitlines()
    return [line for line in lines if line]


def masked(text: str) -> str:
    """Text without numbers, and without the predicted classes, which depend on them."""
    text = re.sub(r"\d[\d.,]*", "#", text)
    text = re.sub(rf"^  ({'|'.join(DEMO['PHOTOS'])}) +#%$", "  a guess", text, flags=re.M)
    return re.sub(" +", " ", text)


def check_shown(block: str, printed: str) -> None:
    """Check that each part between the ``...`` of a shortened output was printed, in this order."""
    lines, place, gap = comparable(printed), 0, re.compile(r"^ *\.\.\.$")
    pieces: list[list[str]] = [[]]
    for line in comparable(block):
        if gap.match(line):
            pieces.append([])
        else:
            pieces[-1].append(line)
    for piece in pieces:
        starts = range(place, len(lines) - len(piece) + 1)
        found = next((k for k in starts if lines[k : k + len(piece)] == piece), None)
        assert found is not None, "\n".join(["not printed:", *piece])
        place = found + len(piece)


TUTORIAL = DOCS / "tutorial.md"

READING = tuple(f"freqprep {command}" for command in ("verify", "evaluate", "predict"))
"""Commands that the demo need not run twice."""


@pytest.mark.long
def test_the_demo_prints_what_the_readme_shows_and_runs_again(tmp_path, monkeypatch, capfd):
    pytest.importorskip("skimage")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    finished = subprocess.run(
        [sys.executable, DOCS / "demo.py", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout
    printed = without_times(finished.stdout)

    for page in (ROOT / "README.md", TUTORIAL):
        shown = [block.text for block in blocks(page) if block.language == "console"]
        check_shown("...\n".join(shown), printed)

    results = json.loads(Path("demo/run/model.json").read_text())["results"]["validation"]
    assert results["images"] == 208
    assert results["top1"] > 0.8  # of 13 classes
    assert f"\n  top-1         {results['top1']:.2%} (" in printed
    answer = printed.split("--top 3\ntiles/val/cat/chelsea-3-0.png\n")[1].split()[0]
    assert answer == "cat"
    for name in ("report.html", "run/curves.png", "chelsea-192.png", "chelsea-channels.png"):
        assert (tmp_path / "demo" / name).stat().st_size > 10_000
        assert f"\n  demo/{name} " in printed

    # Again, into the same folder; an epoch will do, and only what writes files is run.
    run = DEMO["run"]

    def run_what_writes(command: str, folder: Path) -> None:
        if not command.startswith(READING):
            run(command, folder)

    monkeypatch.setitem(DEMO["main"].__globals__, "EPOCHS", 1)
    monkeypatch.setitem(DEMO["main"].__globals__, "run", run_what_writes)
    capfd.readouterr()
    DEMO["main"](Path("demo"))
    again = without_times("".join(capfd.readouterr()))
    assert "epoch 1/1: validation" in again
    assert content_ids(again) == content_ids(printed)
    assert len(content_ids(again)) == 3


def without_times(text: str) -> str:
    """Output of a command without the progress lines, which appear only in slow runs."""
    return re.sub(r"^[\w ]+(\d+/\d+)?: \d+/\d+ \w+, .* left.*\n", "", text, flags=re.M)


def content_ids(text: str) -> list[str]:
    """Content ids in the output of a command."""
    return re.findall(r"content id +(\w{64})", text)


def test_the_tutorial_makes_the_photographs_of_the_demo(tmp_path, monkeypatch):
    pytest.importorskip("skimage")
    (code,) = (block.text for block in blocks(TUTORIAL) if block.language == "python")
    (tmp_path / "docs").symlink_to(DOCS)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "tutorial", "exec"), {})
    for name in DEMO["PHOTOS"]:
        assert any((tmp_path / "photos" / name).iterdir())
        for split, count in DEMO["TILES"].items():
            assert len(list((tmp_path / "tiles" / split / name).iterdir())) == count**2


def test_the_tutorial_types_what_the_demo_runs(capsys, monkeypatch, tmp_path):
    """The output of a command that is not shown is not missed; a command that is not run is."""
    monkeypatch.setitem(DEMO["main"].__globals__, "run", lambda command, _: print(f"$ {command}"))
    DEMO["view_photos"](tmp_path)
    DEMO["train_on_tiles"](tmp_path)
    run = capsys.readouterr().out.splitlines()
    shown = "".join(block.text for block in blocks(TUTORIAL) if block.language == "console")
    typed = [line for line in shown.splitlines() if line.startswith("$ ")]
    assert [line for line in run if line in typed] == typed
