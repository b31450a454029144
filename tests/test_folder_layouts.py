"""What the how-to says of layouts of image folders is what listing them gives and says."""

import argparse
import itertools
import re
import shlex
from pathlib import Path

import pytest
from doc_tables import rows

from freqprep.errors import SourceError
from freqprep.planning import discover
from freqprep.request import Request

JPEG = b"\xff\xd8\xff\xe0 not decoded here"
TEXTS = {
    "val_annotations.txt": "0.jpg\tn01443537\t0\t0\t1\t1\n1.jpg\tn01629819\t0\t0\t1\t1\n",
    "words.txt": "n00001740\tentity\nn01443537\tgolden fish, Carassius auratus\n",
}
ROWS = [[cell.strip("`") for cell in row] for row in rows("Image folders")]


def expanded(pattern: str) -> list[str]:
    """``a{b,c}`` as ab, ac."""
    parts = re.split(r"\{(.*?)\}", pattern)
    choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
    return ["".join(choice) for choice in itertools.product(*choices)]


def build(root: Path, layout: str) -> None:
    """Two images for each ``*.jpg``; folders end in ``/``."""
    for path in (path for pattern in layout.split() for path in expanded(pattern)):
        full = root / path.replace("~", " ")
        if path.endswith("/"):
            full.mkdir(parents=True, exist_ok=True)
            continue
        full.parent.mkdir(parents=True, exist_ok=True)
        if full.name.startswith("*"):
            for number in range(2):
                full.with_name(f"{number}{full.suffix}").write_bytes(JPEG)
        else:
            image = full.suffix == ".jpg"
            full.write_bytes(JPEG if image else TEXTS.get(full.name, "text\n").encode())


def outcome(request: Request) -> str:
    try:
        found = discover(request)
    except SourceError as error:
        return f"error: {error}"
    splits = []
    for name, listing in sorted(found.listings.items()):
        classes = [found.classes.ids[label] for label in sorted(set(listing.labels.tolist()))]
        splits.append(f"{name}: {', '.join(map(str, classes))}")
    return "; ".join(splits)


def request(root: Path, command: str) -> Request:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--split")
    parser.add_argument("--classes")
    options = parser.parse_args(shlex.split(command))
    classes = None if options.classes is None else tuple(options.classes.split(","))
    return Request(options.kind, root, root / "none.zarr", split=options.split, classes=classes)


def pattern(text: str) -> str:
    return re.escape(text).replace(r"\.\.\.", ".*")


@pytest.mark.parametrize(("layout", "command", "result", "said"), ROWS, ids=[r[0] for r in ROWS])
def test_a_layout_is_what_the_how_to_says(tmp_path, capsys, layout, command, result, said):
    build(tmp_path, layout)
    found = outcome(request(tmp_path, command))
    if result.startswith("error:"):
        assert re.search(pattern(result.removeprefix("error:").strip(" `")), found)
        assert found.startswith("error:")
    else:
        assert found == result
    assert re.search(pattern(said), capsys.readouterr().err)
