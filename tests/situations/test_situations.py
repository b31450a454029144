"""The page of what can go wrong has what its situations say; `make check` compares all of it."""

import runpy
from pathlib import Path

import pytest
from doc_pages import DOCS

MAIN = runpy.run_path(str(Path(__file__).with_name("__main__.py")))

from situation import WIDTH, Situation, masked  # noqa: E402
from situation_page import HEAD, SECTIONS, TAIL  # noqa: E402
from stand_ins import StandIns  # noqa: E402

PAGE = (DOCS / "what-can-go-wrong.md").read_text()
SITUATIONS = [one for situations in SECTIONS.values() for one in situations]
QUICK = ("An option is misspelt", "The output is there already", "A count of channels of no data")
"""Enough to see that a section is what is said now; all of them take 20 seconds."""


def test_the_page_has_every_situation_once():
    titles = [line[4:] for line in PAGE.splitlines() if line.startswith("### ")]
    own = [line[4:] for line in TAIL.splitlines() if line.startswith("### ")]
    assert titles == [one.title for one in SITUATIONS] + own
    assert PAGE.startswith(HEAD) and PAGE.endswith(TAIL)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> StandIns:
    return StandIns(tmp_path_factory.mktemp("situations"))


@pytest.mark.parametrize("title", QUICK)
def test_a_section_is_what_is_said(title, made, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    (one,) = (one for one in SITUATIONS if one.title == title)
    assert one.section(tmp_path / "work", made) in PAGE


@pytest.mark.parametrize("one", SITUATIONS, ids=lambda one: one.title)
def test_messages_name_no_path_of_the_machine(one):
    section = PAGE.split(f"### {one.title}\n")[1].split("\n### ")[0]
    assert "/tmp" not in section and str(DOCS.parent) not in section
    assert f"```console\n$ {one.run}\n" in section or f"```python\n{one.run}\n" in section


def test_a_situation_that_says_nothing_is_an_error(made, tmp_path):
    fine = Situation("Nothing happens", "import freqprep", "", "")
    with pytest.raises(ValueError, match="said nothing"):
        fine.message(tmp_path / "work", made)


def test_what_differs_from_run_to_run_is_masked():
    text = "written by process 17 on there (3 MB free) at http://127.0.0.1:4242/x"
    assert masked(text) == "written by process 4711 on node7 (2 MB free) at http://host/x"
    text = "has lost another one: [gloo/x.cc:5] reset [10.0.0.7]:80; see"
    assert masked(text) == "has lost another one: Connection closed by peer [node8]; see"


def test_the_check_fails_where_the_page_is_stale(tmp_path, monkeypatch, capsys):
    main, page = MAIN["main"], tmp_path / "page.md"
    monkeypatch.setitem(main.__globals__, "PAGE", page)
    monkeypatch.setitem(main.__globals__, "page", lambda folder: "made\n")
    assert main(["--check"]) == 1
    assert main([]) == 0 and page.read_text() == "made\n"
    assert main(["--check"]) == 0
    page.write_text("other\n")
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == f"{page} is not what the commands say: run `make docs`\n"
    assert main(["--chekc"]) == 2


def test_long_messages_are_wrapped():
    assert (
        max(map(len, (line for line in PAGE.splitlines() if line.startswith("error: ")))) <= WIDTH
    )
