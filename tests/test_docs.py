"""Check the documentation against the code: lists, links, snippets and shown output."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
from coco_folder import coco_folder

import freqprep
from freqprep.images.decode import REASONS
from freqprep.importance.ranking import BYTES, SCORES
from freqprep.sources import SOURCES
from freqprep.spectrum.channels import NAMES, PUBLISHED, RULES, STORED_ORDER
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, ROWS_PER_SHARD

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [*(ROOT / name for name in TOP), *sorted(DOCS.glob("*.md"))]
REFERENCE = runpy.run_path(str(DOCS / "reference.py"))
DEMO = runpy.run_path(str(DOCS / "demo.py"))


def snippets(page: Path) -> list[str]:
    """Python snippets of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


SNIPPETS = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, code in enumerate(snippets(page))
]


def prose(page: Path) -> str:
    """Text of a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page."""
    return {anchor_of(heading) for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


def anchor_of(heading: str) -> str:
    """Anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(page: Path, heading: str) -> str:
    """Text below a second-level heading."""
    return page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


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


def used(code: str) -> set[str]:
    """Names of freqprep that a snippet imports or writes out, with their modules."""
    nodes = list(ast.walk(ast.parse(code)))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    names |= {ast.unparse(node) for node in attributes if isinstance(node.value, ast.Name)}
    return {name for name in names if name.startswith("freqprep.")}


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_use_only_what_is_public(code):
    public = REFERENCE["public_names"]().items()
    assert used(code) <= {f"{module}.{name}" for module, names in public for name in names}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


@pytest.mark.parametrize("name", ["how-to.md", "method.md", "format.md", "architecture.md"])
def test_contents_list_every_section(name):
    contents, _, rest = (DOCS / name).read_text().partition("\n## ")
    headings = re.findall(r"^## (.*)$", f"\n## {rest}", re.MULTILINE)
    listed = re.findall(r"\]\(#([^)]+)\)", contents)
    assert [anchor_of(heading) for heading in headings if anchor_of(heading) not in listed] == []


@pytest.mark.parametrize("command", REFERENCE["commands"]())
def test_commands_are_documented(command):
    for page in (ROOT / "README.md", DOCS / "how-to.md", DOCS / "cli.md"):
        assert f"freqprep {command}" in page.read_text(), f"{page.name} leaves out {command}"


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippets_compile(code):
    compile(code, "snippet", "exec")


FRAMEWORKS = re.compile(r"^(import|from) (lightning|transformers|accelerate|timm)", re.M)
"""Imports of snippets that tests/frameworks runs."""


# The stores are so small that an incomplete last batch is a large part of an epoch.
TINY_STORE = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")


@TINY_STORE
@pytest.mark.parametrize(
    "code",
    [p for p in SNIPPETS if '"photos.zarr' in p.values[0] and not FRAMEWORKS.search(p.values[0])],
)
def test_snippets_run(code, store, tmp_path, monkeypatch):
    (tmp_path / "photos.zarr").symlink_to(store)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "snippet", "exec"), {})


@TINY_STORE
@pytest.mark.parametrize("code", [p for p in SNIPPETS if '"coco.zarr' in p.values[0]])
def test_snippets_run_on_annotated_images(code, tmp_path, monkeypatch):
    source = coco_folder(tmp_path / "coco")
    for name in ("val2017", "annotations/instances_val2017.json"):
        (source / name.replace("val", "train")).symlink_to(source / name)
    monkeypatch.chdir(tmp_path)
    synthetic.make(source, Path("coco.zarr"), kind="coco", size=64)
    exec(compile(code, "snippet", "exec"), {})


def first_cells(page: str, heading: str) -> list[str]:
    """Code in the first cells of a section's table rows."""
    cells = re.findall(r"^\| (`.*?) \|", section(DOCS / page, heading), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_method_lists_the_selections():
    assert sorted(first_cells("method.md", "Selections")) == sorted([*PUBLISHED, *RULES, "all"])


def test_method_and_how_to_list_the_scores():
    scores = {*SCORES, BYTES}
    assert sorted(first_cells("method.md", "Scores")) == sorted(scores)
    listed = section(DOCS / "how-to.md", "Choose channels").partition("**`--by SCORE`**")[2]
    assert scores <= {*re.findall(r"`(\w+)`", listed.partition("\n- **")[0])}


def test_format_lists_the_kinds_of_source():
    (row,) = re.findall(r"^\| `source_kind` .*$", (DOCS / "format.md").read_text(), re.MULTILINE)
    assert {*re.findall(r"`(\w+)`", row)} == {"source_kind", *SOURCES}


def test_format_lists_exactly_the_arrays_of_the_schema():
    row = r"^\| `(\w+)` \| ([\w ]+) \| ([\w, ]+) \|"
    rows = re.findall(row, section(DOCS / "format.md", "Arrays"), re.MULTILINE)
    listed = {name: (dtype, tuple(dims.split(", "))) for name, dtype, dims in rows}
    assert len(listed) == len(rows)
    assert listed.pop("coefficients") == ("int8 or int16", ("image", "channel", "row", "column"))
    specs = IMAGE_ARRAYS | OBJECT_ARRAYS
    assert listed == {name: (spec.dtype, spec.dimensions) for name, spec in specs.items()}


def test_format_lists_the_stored_order():
    text = section(DOCS / "format.md", "Channels and their order")
    listed = re.findall(r"\b(?:y|cb|cr)_[0-7]_[0-7]\b", text.split("```")[1])
    assert listed == [NAMES[index] for index in STORED_ORDER]


def test_format_lists_the_reasons():
    text = section(DOCS / "format.md", "Rows: order, keys, rejects")
    listed = re.findall(r"`(\w+)`", text.partition("is one of")[2])
    assert listed == list(REASONS)


def test_how_to_lists_the_reasons_and_their_meaning():
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \|", section(DOCS / "how-to.md", "Deal with rejected images"), re.M
    )
    assert dict(rows) == REASONS


@pytest.mark.parametrize(
    "fixture", ["store", "crop_store", "coarse_store", "fine_store", "subset_store"]
)
def test_the_reader_of_the_format_page_reads_what_ours_reads(fixture, request):
    (code,) = (c for c in snippets(DOCS / "format.md") if "def read_channel" in c)
    page: dict = {}
    exec(compile(code, "format.md", "exec"), page)
    for split in freqprep.open_store(request.getfixturevalue(fixture)).values():
        for shard in range(split.shards):
            rows = range(shard * ROWS_PER_SHARD, min((shard + 1) * ROWS_PER_SHARD, len(split)))
            valid = split.valid[rows.start : rows.stop]
            stored = split.manifest.attributes["channels"]
            for name in ("y_0_0", "y_3_1", "cb_0_1", stored[-1]):
                theirs = np.array(page["read_channel"](split.path, shard, name))
                assert len(theirs) == len(rows)
                assert not theirs[~valid].any()
                ours = split.read(np.array(rows)[valid], [name])[:, 0]
                np.testing.assert_array_equal(theirs[valid], ours)


def test_the_reader_of_the_format_page_notices_damage(store, tmp_path):
    (code,) = (c for c in snippets(DOCS / "format.md") if "def read_channel" in c)
    page: dict = {}
    exec(compile(code, "format.md", "exec"), page)
    assert page["crc32c"](b"123456789") == 0xE3069283  # the published check value
    shard = tmp_path / "coefficients/c/0/0/0/0"
    shard.parent.mkdir(parents=True)
    data = bytearray((store / "val" / "coefficients/c/0/0/0/0").read_bytes())
    data[10] ^= 1
    shard.write_bytes(data)
    (tmp_path / "manifest.json").write_bytes((store / "val" / "manifest.json").read_bytes())
    with pytest.raises(ValueError, match="checksum"):
        page["read_channel"](tmp_path, 0, "y_0_0")


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

    readme = (ROOT / "README.md").read_text()
    (block,) = (b for b in readme.split("\n```\n") if b.startswith("13 photographs"))
    check_shown(block, printed)

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
