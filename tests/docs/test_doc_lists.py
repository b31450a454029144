"""Lists in the documentation are those of the code; the reader of the format page reads stores."""

import re

import numpy as np
import pytest
from doc_pages import DOCS, section, snippets

import freqprep
from freqprep.images.decode import REASONS
from freqprep.importance.ranking import BYTES, SCORES
from freqprep.sources import SOURCES
from freqprep.spectrum.channels import NAMES, PUBLISHED, RULES, STORED_ORDER
from freqprep.store.schema import IMAGE_ARRAYS, OBJECT_ARRAYS, ROWS_PER_SHARD


def first_cells(page: str, heading: str) -> list[str]:
    """Code in the first cells of a section's table rows."""
    cells = re.findall(r"^\| (`.*?) \|", section(DOCS / page, heading), re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_method_lists_the_selections():
    assert sorted(first_cells("method.md", "Selections")) == sorted([*PUBLISHED, *RULES, "all"])


def test_method_and_how_to_list_the_scores():
    scores = {*SCORES, BYTES}
    assert sorted(first_cells("method.md", "Scores")) == sorted(scores)
    listed = section(DOCS / "how-to/channels.md", "Choose channels").partition("**`--by SCORE`**")[
        2
    ]
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
        r"^\| `(\w+)` \| (.*?) \|",
        section(DOCS / "how-to/images.md", "Deal with rejected images"),
        re.M,
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
