"""Every block of code in the documentation is run, here or by another test, or says why not."""

import ast
import json
import logging

import pytest
from doc_pages import BLOCKS, REFERENCE, ROOT

from freqprep import progress

LANGUAGES = {"python", "sh", "console", "json", "text"}
"""Blocks of text are trees, formulas and output without its command."""

SNIPPETS = [block for block in BLOCKS if block.language == "python"]


def test_each_block_has_a_language():
    unknown = [str(block) for block in BLOCKS if block.language not in LANGUAGES]
    assert unknown == [], f"of {sorted(LANGUAGES)}, the one that fits"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.marker], ids=str)
def test_markers_are_at_blocks_that_would_be_run_and_say_who_runs_them(block):
    assert block.language in ("python", "sh", "console")
    kind, text = block.marker
    if kind == "run by":
        assert (ROOT / text).is_file(), f"{block}: there is no {text}"


def used(code: str) -> set[str]:
    """Names of freqprep that a snippet imports or writes out, with their modules."""
    nodes = list(ast.walk(ast.parse(code)))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    names |= {ast.unparse(node) for node in attributes if isinstance(node.value, ast.Name)}
    return {name for name in names if name.startswith("freqprep.")}


@pytest.mark.parametrize("block", SNIPPETS, ids=str)
def test_snippets_use_only_what_is_public(block):
    public = REFERENCE["public_names"]().items()
    assert used(block.text) <= {f"{module}.{name}" for module, names in public for name in names}


@pytest.fixture
def log_as_before(monkeypatch):
    """Undo what a snippet says to the logger and the progress bars."""
    logger = logging.getLogger("freqprep")
    level = logger.level
    monkeypatch.setattr(progress, "_switched", progress._switched)
    yield
    logger.setLevel(level)


# The stores are so small that an incomplete last batch is a large part of an epoch.
@pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")
@pytest.mark.parametrize("block", [b for b in SNIPPETS if b.marker is None], ids=str)
def test_snippets_run(block, stand_ins, tmp_path, monkeypatch, log_as_before):
    monkeypatch.chdir(tmp_path)
    code = block.text.replace('"/data/', '"data/')
    for name in stand_ins.named_in(code):
        stand_ins.put(name, tmp_path)
    exec(compile(code, str(block), "exec"), {})


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "json"], ids=str)
def test_documents_are_json(block):
    json.loads(block.text)
