"""Pages made from the code are current; links lead somewhere; contents list every section."""

import re

import pytest
from doc_pages import DOCS, HOW_TO, PAGES, REFERENCE, ROOT, anchor_of, anchors, headings, prose


def test_pages_made_from_the_code_are_current(capsys):
    assert REFERENCE["main"](["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", REFERENCE["PAGES"])
def test_reference_check_fails_where_it_is_stale(tmp_path, monkeypatch, capsys, page):
    main = REFERENCE["main"]
    monkeypatch.setitem(main.__globals__, "DOCS", tmp_path)
    stale = tmp_path / page
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    stale.write_text(stale.read_text() + "more\n")
    capsys.readouterr()
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == f"{stale} is not what the code says: run `make docs`\n"
    assert main(["--chekc"]) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert linked.is_relative_to(ROOT), f"{page.name} links out of the project: {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", ["method.md", "format.md", "architecture.md"])
def test_contents_list_every_section(name):
    contents, _, rest = (DOCS / name).read_text().partition("\n## ")
    headings = re.findall(r"^## (.*)$", f"\n## {rest}", re.MULTILINE)
    listed = re.findall(r"\]\(#([^)]+)\)", contents)
    assert [anchor_of(heading) for heading in headings if anchor_of(heading) not in listed] == []


@pytest.mark.parametrize("command", REFERENCE["commands"]())
def test_commands_are_documented(command):
    for pages in ([ROOT / "README.md"], HOW_TO, [DOCS / "cli.md"]):
        texts = [page.read_text() for page in pages]
        assert any(f"freqprep {command}" in text for text in texts), f"{pages} leave out {command}"


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_contents_of_the_how_to_list_every_section(page):
    contents = (DOCS / "how-to.md").read_text()
    title, *others = re.findall(r"^##? (.*)$", prose(page), re.MULTILINE)
    missing = [
        heading
        for heading in others or [title]
        if not re.search(rf"how-to/{page.name}(#{anchor_of(heading)})?\)", contents)
    ]
    assert missing == []


def test_no_two_pages_of_the_how_to_share_an_anchor():
    """So that a section can move to another page, and a search for its heading finds one."""
    found = [anchor_of(heading) for page in HOW_TO for heading in headings(page)]
    assert len(found) == len(set(found))
