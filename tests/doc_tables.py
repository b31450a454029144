"""Tables of the how-to, for the tests that run their rows."""

import re
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs/how-to"


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of each row of the first table under a heading, without the header row."""
    text = (PAGES / page).read_text()
    section = re.split(rf"^#+ {re.escape(heading)}\n", text, flags=re.MULTILINE)[1]
    section = re.split(r"^#+ ", section, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
