"""What is seen on a terminal of 80 columns, and in a log: bars, messages, tables."""

import re

import pytest
import synthetic
import terminal
from hypothesis import given
from hypothesis import strategies as st

from freqprep import progress
from freqprep.progress import Progress
from freqprep.text.terminal import columns, on_one_line, paragraph, shortened, table, width, wrapped

pytest.importorskip("torch")

TINY = ["--model", "mobilenet_v2", "--channels", "paper-6", "--grid", "16", "--batch-size", "16"]
TINY += ["--device", "cpu", "--epochs", "2"]
BAR = re.compile(r"^(\S[^|]*) \|(.+)\| (\S+/\S+)((?:, [^,]+)*)$")


def bars(written: str) -> list[re.Match]:
    """All states of all bars."""
    pieces = re.split(r"[\r\n]|\x1b\[A", written)
    found = [BAR.match(piece) for piece in pieces]
    return [bar for bar in found if bar]


def test_training_on_a_terminal_is_legible(store, tmp_path):
    words = ["train", store, *TINY, "--run", tmp_path / "run"]
    code, written = terminal.on_a_terminal(*words, OMP_NUM_THREADS="1")
    assert code == 0, written
    assert "Traceback" not in written
    shown = [bar for bar in bars(written) if bar[1].startswith("epoch")]
    assert {bar[1] for bar in shown} == {"epoch 1/2", "epoch 2/2"}
    for bar in shown:
        assert len(bar[0]) < terminal.COLUMNS and len(bar[2]) >= 10
        assert bar[0].count("/s") <= 1 and " left" in bar[4]
    assert re.search(r", [\d.]+ images/s, \d+:\d\d left, loss \d+\.\d+", shown[-1][4])
    screen = terminal.screen(written)
    assert [line for line in screen if "evaluating" in line] == []
    assert screen[0].startswith("training on ")
    said = [line for line in screen if re.fullmatch(r"epoch ./2: validation loss .*", line)]
    assert len(said) == 2
    assert [line for line in screen if "|" in line and not BAR.match(line)] == []


@pytest.mark.parametrize("command", ["convert", "stats", "verify"])
def test_other_bars_fit_too_and_leave_the_screen_tidy(source, store, tmp_path, command):
    words = {
        "convert": ["convert", "imagefolder", source, tmp_path / "new.zarr", "--size", "32"],
        "stats": ["stats", store, "--split", "train"],
        "verify": ["verify", store],
    }[command]
    jobs = [] if command == "verify" else ["--jobs", "1"]
    code, written = terminal.on_a_terminal(*words, *jobs)
    assert code == (3 if command == "convert" else 0), written
    shown = bars(written)
    assert shown
    for bar in shown:
        assert len(bar[0]) < terminal.COLUMNS and len(bar[2]) >= 10
    left = [line for line in terminal.screen(written) if "|" in line]
    assert len(left) == (2 if command == "convert" else 0)  # a bar of each converted split


def test_a_log_has_lines_and_no_carriage_returns(store, tmp_path):
    done = synthetic.freqprep("train", store, *TINY, "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr and "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) < 30


def test_what_is_said_stands_above_the_bar(monkeypatch):
    written = []
    monkeypatch.setattr(progress, "_columns", lambda: 80)

    class Terminal:
        encoding = "utf-8"

        def isatty(self):
            return True

        def write(self, text):
            written.append(text)

        def flush(self):
            pass

    monkeypatch.setattr("sys.stderr", Terminal())
    with Progress("epoch {1}/2 of a name that is far too long for one line", 4, keep=True) as bar:
        for number in range(4):
            bar.update(1, "loss 1.25", "a note that no terminal has room for" * 3)
            progress.say(f"message {number}, and words to wrap " + "again " * 12)
    screen = terminal.screen("".join(written))
    assert sum(line.startswith("message ") for line in screen) == 4
    (left,) = [line for line in screen if "|" in line]
    assert left.startswith("epoch ...or one line |") and left.endswith("0:00 left, loss 1.25")
    assert max(map(len, screen)) <= 80


def test_long_names_leave_the_columns_of_a_table_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["a", "x" * 300, "twenty-four words " * 24, "漢字" * 60, "é" * 90]
    text = columns(("class", "images", "top-1"), [(name, "12", "3.45%") for name in names])
    assert {width(line) for line in text.splitlines()} == {80}
    assert all(line.endswith("  12  3.45%") or "top-1" in line for line in text.splitlines())
    path = "/long/" * 40 + "end"
    text = table([("name", "value"), ("path", path), ("prose", "many words " * 20)])
    assert f"\n    {path}\n" in text
    rest = [line for line in text.splitlines() if path not in line]
    assert max(map(len, rest)) <= 80 and "".join(rest).count("words") == 20


@given(st.text(max_size=60), st.integers(8, 40))
def test_what_is_shortened_fits_and_keeps_its_ends(text, most):
    text, short = on_one_line(text), shortened(text, most)
    assert width(short) <= most and short.isprintable()
    if width(text) <= most:
        assert short == text
    else:
        cuts = [at for at in range(len(short)) if short.startswith("...", at)]
        assert any(text.startswith(short[:at]) and text.endswith(short[at + 3 :]) for at in cuts)


def test_two_thirds_of_what_is_kept_are_the_end():
    path = "/a/long/way/down/to/the/picture-0001.jpg"
    assert shortened(path, 30) == "/a/long/w...e/picture-0001.jpg"
    assert shortened("漢字" * 20, 12) == "漢...字漢字"


@pytest.mark.parametrize("draw", [table, lambda rows: columns((), rows)])
def test_a_name_of_several_lines_is_one_cell(draw):
    assert draw([("a\nb\x1b", "1"), ("c", "2")]) == "  a\\nb\\x1b  1\n  c" + " " * 9 + "2"


@given(st.lists(st.text("ab", min_size=1, max_size=12), min_size=1), st.integers(4, 40))
def test_wrapping_loses_nothing_and_breaks_no_word(words, most):
    lines = wrapped(" ".join(words), most)
    assert " ".join(lines).split(" ") == words
    assert all(len(line) <= most or " " not in line for line in lines)


@pytest.mark.parametrize(("columns", "most"), [(None, 80), ("40", 40)])
def test_prose_fits_80_columns_or_the_terminal(monkeypatch, columns, most):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    lines = paragraph("  first " + "word " * 40).splitlines()
    assert most - 5 < max(map(len, lines)) <= most
    assert lines[0].startswith("  first") and all(line.startswith("    word") for line in lines[1:])
    assert " ".join(lines).split() == ["first", *["word"] * 40]


def test_tables_of_commands_fit_80_columns(call, store, run_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for words in (
        ["stats", store, "--split", "train", "--jobs", "1", "--compare", "val"],
        ["stats", store, "--split", "train", "--jobs", "1", "--by", "label_information"],
        ["evaluate", run_folder, store],
    ):
        code, out, err = call(*words)
        assert code == 0, err
        tables = [line for line in out.splitlines() if line.startswith("  ")]
        assert len(tables) > 3 and max(map(len, tables)) <= 80
