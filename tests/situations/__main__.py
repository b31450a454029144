"""Write docs/what-can-go-wrong.md: ``python -m tests.situations [--check]``.

Each situation is made, on small data, and what it says is taken. With ``--check`` nothing is
written: exit 1 where the page is not what would be written.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from unittest import mock

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "situations"), str(TESTS / "docs"), str(TESTS / "sources"), str(TESTS)]

from situation_page import page  # noqa: E402

PAGE = TESTS.parent / "docs" / "what-can-go-wrong.md"


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("freqprep.engines.workers.default_jobs", lambda: 1),
        mock.patch.dict("os.environ", COLUMNS="80", FREQPREP_PROGRESS="0"),
    ):
        text = page(Path(folder).resolve())
    if not arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print(f"{PAGE} is not what the commands say: run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
