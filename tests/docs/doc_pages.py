"""Pages of the documentation as text: prose, headings, and code blocks with their markers."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in TOP), *sorted(DOCS.rglob("*.md"))]
REFERENCE = runpy.run_path(str(DOCS / "reference.py"))
DEMO = runpy.run_path(str(DOCS / "demo.py"))

MARKER = re.compile(r"<!-- (not run|run by|output of): (.+) -->")
"""On the line before a block that the tests of the blocks do not run: why not, or who does."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    page : Path
    line : int
        Of the opening fence, from 1.
    language : str
    text : str
    marker : tuple of str or None
        Kind and text of the marker before it.
    """

    page: Path
    line: int
    language: str
    text: str
    marker: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    opened = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if opened is None:
            opened = number
            continue
        marked = MARKER.fullmatch(lines[opened - 1])
        yield Block(
            page,
            opened + 1,
            lines[opened][3:].strip(),
            "".join(f"{inside}\n" for inside in lines[opened + 1 : number]),
            (marked[1], marked[2]) if marked else None,
        )
        opened = None
    assert opened is None, f"{page}: the block of line {opened} has no end"


BLOCKS = [block for page in PAGES for block in blocks(page)]


def snippets(page: Path) -> list[str]:
    """Python snippets of a page."""
    return [block.text for block in blocks(page) if block.language == "python"]


def prose(page: Path) -> str:
    """Text of a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def headings(page: Path) -> list[str]:
    """Headings of a page, of all levels."""
    return re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page."""
    return {anchor_of(heading) for heading in headings(page)}


def anchor_of(heading: str) -> str:
    """Anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(page: Path, heading: str) -> str:
    """Text below a second-level heading."""
    return page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
