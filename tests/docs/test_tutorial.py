"""The demo prints what README and the tutorial show."""

import json
import re
import shlex
from pathlib import Path

import pytest
import synthetic
from compute_threads import one_compute_thread
from doc_pages import DEMO, DOCS, ROOT, blocks
from narrow_networks import narrow_classifiers


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


def run_here(command: str, folder: Path) -> None:
    """Print a command and run it in this process: each import of torch would take seconds."""
    print(f"\n$ {command}")
    _, *words = shlex.split(command.removeprefix("OMP_NUM_THREADS=1 "))
    done = synthetic.freqprep(*words, cwd=folder, together=True)
    assert done.returncode == 0, done.stdout
    print(done.stdout, end="")


@pytest.mark.long
def test_the_demo_prints_what_the_readme_shows(tmp_path, monkeypatch, capsys):
    """In a folder in which it ran before, and in which there is more: that is left alone.

    A network of fewer channels takes all of the demo's epochs in half the time of its whole one.
    """
    pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    for name in DEMO["MADE"]:
        earlier = Path("demo", name) if "." in name[1:] else Path("demo", name, "earlier")
        earlier.parent.mkdir(parents=True, exist_ok=True)
        earlier.write_text("of an earlier demo")
    Path("demo/mine.txt").write_text("not the demo's")
    monkeypatch.setitem(DEMO["main"].__globals__, "run", run_here)
    capsys.readouterr()
    with one_compute_thread(), narrow_classifiers():
        DEMO["main"](Path("demo"))
    printed = without_times(capsys.readouterr().out)
    assert {path.name for path in Path("demo").iterdir()} <= {"mine.txt", *DEMO["MADE"]}
    assert Path("demo/mine.txt").read_text() == "not the demo's"
    assert not list(Path("demo").rglob("earlier"))

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


def test_the_demo_runs_commands_in_a_shell_and_stops_where_one_fails(tmp_path, capfd):
    DEMO["run"]("PLACE=here; echo $PLACE; pwd", tmp_path)
    assert capfd.readouterr().out == f"\n$ PLACE=here; echo $PLACE; pwd\nhere\n{tmp_path}\n"
    with pytest.raises(SystemExit, match="the demo stops here: exit code 3"):
        DEMO["run"]("exit 3", tmp_path)


def without_times(text: str) -> str:
    """Output of a command without the progress lines, which appear only in slow runs."""
    return re.sub(r"^[\w ]+(\d+/\d+)?: \d+/\d+ \w+, .* left.*\n", "", text, flags=re.M)


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
