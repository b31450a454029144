"""Commands on stores that keep some channels, or have other steps."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import freqprep
from freqprep.spectrum.channels import NAMES


def strict(text: str) -> dict:
    """JSON without NaN and infinities."""

    def refuse(word):
        raise AssertionError(f"{word} in JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def part(subset_store) -> freqprep.Split:
    return freqprep.open_store(subset_store)["train"]


@pytest.mark.parametrize("fixture", ["coarse_store", "subset_store"])
def test_verify_finds_nothing_also_against_the_source(call, request, fixture, source):
    store = request.getfixturevalue(fixture)
    code, out, _ = call("verify", store, "--source", source, "--sample", "30", "--json")
    document = strict(out)
    assert code == 0 and document["problems"] == []


def test_channels_are_listed_as_stored_or_not(call, subset_store, part):
    code, out, _ = call("channels", subset_store)
    assert code == 0 and max(map(len, out.splitlines())) <= 80
    assert "train stores 49 channels: y_0_0, " in out
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert lines["all"].endswith("not stored") and lines["paper-64"].endswith("not stored")
    assert lines["paper-48"].rstrip().endswith("%")
    document = strict(call("channels", subset_store, "--json")[1])
    found = {one["name"]: one for one in document["selections"]}
    assert [name for name, one in found.items() if not one["stored"]] == [
        "learned-24", "paper-64", "all",
    ]  # fmt: skip
    for one in found.values():
        assert (one["bytes_per_image"] is None) == (one["ranges"] is None) == (not one["stored"])
    code, out, err = call("channels", subset_store, "--channels", "all")
    assert (code, out) == (2, "") and "does not store 143 of the 192 channels of 'all'" in err
    assert call("channels", subset_store, "--channels", "paper-6")[0] == 0


def test_show_draws_what_is_stored(call, subset_store, part, tmp_path):
    row = int(np.flatnonzero(part.valid)[0])
    sheet = tmp_path / "sheet.png"
    words = ("show", subset_store, str(row), "--split", "train", "-o", tmp_path / "row.png")
    code, out, _ = call(*words, "--sheet", sheet)
    assert code == 0 and "from 49 of 192 channels" in out.replace("\n  ", " ")
    np.testing.assert_array_equal(Image.open(tmp_path / "row.png"), part.image(row))
    assert sheet.exists()
    code, _, err = call(*words, "--channels", "all", "--overwrite")
    assert code == 2 and "does not store" in err


def test_stats_choose_and_draw_stored_channels(call, subset_store, part, store, tmp_path):
    words = ("stats", subset_store, "--split", "train", "--jobs", "1")
    files = ("--report", tmp_path / "report.html", "--plots", tmp_path / "plots")
    code, out, _ = call(*words, "--top", "24", "--compare", store, *files, "--json")
    assert code == 0
    document = strict(out)
    stored = {NAMES[index] for index in part.attributes.channels}
    assert len(document["selection"]) == 24 and set(document["selection"]) <= stored
    assert {name for one in document["candidates"] for name in one["selection"]} <= stored
    assert set(document["drift"]["level_db"]) == stored
    page = (tmp_path / "report.html").read_text()
    shown = re.sub(r"<script.*?</script>|<style.*?</style>|base64,[^\"']*", "", page, flags=re.S)
    assert not re.search(r"\bnan\b|\binf\b", shown, re.IGNORECASE)
    assert "49 of 192" in shown and "y_7_6" not in shown
    assert len(list((tmp_path / "plots").glob("*.png"))) > 10


def test_stats_in_words_say_what_is_compared(call, subset_store, store):
    words = ("stats", subset_store, "--split", "val", "--jobs", "1", "--compare", store)
    code, out, _ = call(*words, "--top", "12", "--by", "energy")
    said = " ".join(out.split())
    assert code == 0 and "of all 49)" in said and "nan" not in said.lower()
    assert "compared: the 49 channels that both store" in said
    assert "no divergence: the quantization steps differ" in said
    code, out, err = call("stats", subset_store, "--split", "val", "--top", "50")
    assert (code, out) == (2, "") and "top 50 channels of the 49 that are stored" in err
