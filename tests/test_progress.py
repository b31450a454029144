"""Notes through the logging module, and progress that can be switched off."""

import io
import logging
import subprocess
import sys

import pytest
import terminal

from freqprep import progress
from freqprep.progress import Progress, counted, say, show_progress

NOTES = logging.getLogger("freqprep")


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    """Restore the switch and the logger."""
    monkeypatch.setattr(progress, "_switched", None)
    monkeypatch.delenv(progress.SWITCH, raising=False)
    monkeypatch.setattr(NOTES, "handlers", NOTES.handlers[:])
    before = NOTES.level, NOTES.propagate
    yield
    NOTES.setLevel(before[0])
    NOTES.propagate = before[1]


def test_a_note_is_its_text_on_stderr(capsys):
    say("100% of {it}\nis %s said")
    output = capsys.readouterr()
    assert output.err == "100% of {it}\nis %s said\n" and output.out == ""
    say("the split \x1b[2Jval: 7 images")
    assert capsys.readouterr().err == "the split \\x1b[2Jval: 7 images\n"


def test_notes_are_silenced_by_level_and_warnings_stay(capsys):
    NOTES.setLevel(logging.WARNING)
    say("a note")
    say("warning: this")
    assert capsys.readouterr().err == "warning: this\n"


def test_an_application_takes_the_notes_over(capsys):
    taken = io.StringIO()
    NOTES.handlers[:] = [logging.StreamHandler(taken)]
    say("a note")
    assert taken.getvalue() == "a note\n" and capsys.readouterr().err == ""


PROGRAM = """
import logging, sys
{before}
import freqprep
from freqprep.progress import counted, say
{after}
say("a note")
"""


@pytest.mark.parametrize(
    ("before", "after", "printed"),
    [
        ("", "", "a note\n"),
        ("logging.basicConfig(level=logging.INFO)", "", "a note\n"),  # said once, not twice
        ("logging.getLogger('freqprep').setLevel('ERROR')", "", ""),
        ("", "logging.getLogger('freqprep').setLevel('ERROR')", ""),
        (
            "ours = logging.getLogger('freqprep'); ours.addHandler(logging.StreamHandler())\n"
            "ours.handlers[0].setFormatter(logging.Formatter('%(name)s: %(message)s'))",
            "",
            "freqprep: a note\n",
        ),
    ],
)
def test_what_a_program_sets_up_holds(before, after, printed):
    program = PROGRAM.format(before=before, after=after)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, printed, "")


def shown(monkeypatch, capsys):
    """What is written of a progress of two items, elsewhere than on a terminal."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with Progress("work", 2) as bar:
        bar.update(1)
        bar.update(1)
    return capsys.readouterr().err


def test_progress_is_switched_off_and_on(monkeypatch, capsys):
    assert shown(monkeypatch, capsys).startswith("work: 1/2 images, ")
    show_progress(False)
    assert shown(monkeypatch, capsys) == ""
    show_progress()
    assert len(shown(monkeypatch, capsys).splitlines()) == 2


def test_items_of_unknown_number_are_counted_in_lines(monkeypatch, capsys):
    assert list(counted(range(250), "listing", "objects")) == list(range(250))
    assert capsys.readouterr().err == ""  # it did not take long
    monkeypatch.setattr(progress, "_QUIET_SECONDS", -1.0)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    assert list(counted(range(250), "listing", "objects")) == list(range(250))
    assert capsys.readouterr().err == "listing: 100 objects\nlisting: 200 objects\n"
    show_progress(False)
    assert len(list(counted(range(250), "listing", "objects"))) == 250
    assert capsys.readouterr().err == ""


def test_the_environment_switches_progress_off_until_the_program_decides(monkeypatch, capsys):
    monkeypatch.setenv(progress.SWITCH, "0")
    assert shown(monkeypatch, capsys) == ""
    show_progress(True)
    assert shown(monkeypatch, capsys) != ""


def test_no_bar_on_a_terminal_either(store):
    words = ("verify", store, "--jobs", "1")
    code, written = terminal.on_a_terminal(*words, FREQPREP_PROGRESS="0")
    assert code == 0, written
    assert "\r" not in written.replace("\r\n", "\n") and "|" not in written
    _, with_bar = terminal.on_a_terminal(*words)
    assert "|" in with_bar


def test_notes_stay_without_progress(capsys):
    show_progress(False)
    with Progress("work", 2):
        say("a note")
    assert capsys.readouterr().err == "a note\n"
