"""``freqprep channels``: selections, and what they take in a store."""

import json
import shutil
import subprocess
import sys

import pytest
import synthetic

import freqprep
from freqprep.spectrum.channels import PUBLISHED, Selection
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.selections import save_selection
from freqprep.store.summary import summarize


def fits(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


@pytest.fixture
def saved(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    save_selection(copy, Selection((0, 64, 191), "mine"), {"by": "energy"})
    save_selection(copy, Selection((1,), "m" * 64), {})
    return copy


def test_without_a_store_the_names_and_the_channels(call):
    code, out, err = call("channels")
    assert (code, err) == (0, "") and fits(out)
    for name in (*PUBLISHED, "all", "square-Y+C", "triangle-N", "zigzag-Y+Cb+Cr", "FILE.json"):
        assert f"{name}" in out
    document = json.loads(call("channels", "--json")[1])
    found = {one["name"]: one for one in document["selections"]}
    assert set(found) == {*PUBLISHED, "all"}
    for name, one in found.items():
        selection = freqprep.channels(name)
        assert one["channels"] == list(selection.names) and one["count"] == len(selection)
        assert one["luma"] + one["cb"] + one["cr"] == len(selection)
        assert one["bytes_per_image"] is None
    assert found["square-24"]["ranges"] == 3 and found["all"]["ranges"] == 1


def test_with_a_store_bytes_and_what_is_saved(call, saved):
    opened = freqprep.open_store(saved)
    for words, splits in (([], ["train", "val"]), (["--split", "val"], ["val"])):
        document = json.loads(call("channels", saved, *words, "--json")[1])
        images = sum(int(opened[name].valid.sum()) for name in splits)
        assert (document["splits"], document["images"]) == (splits, images)
        assert {one["name"]: one["kind"] for one in document["selections"]}["mine"] == "saved"
        for one in document["selections"]:
            selection = freqprep.channels(one["channels"])
            took = sum(bytes_read(opened[name], selection.indices) for name in splits) / images
            assert one["bytes_per_image"] == pytest.approx(took)
            assert 0 < one["share"] <= 1
    (published,) = (one for one in document["selections"] if one["name"] == "square-24")
    summary = summarize(opened["val"])
    assert published["bytes_per_image"] == summary.published_24_bytes_per_image
    code, out, _ = call("channels", saved)
    assert code == 0 and fits(out) and "mine (saved)" in out and "100.00%" in out


def test_one_selection_on_request(call, saved):
    for asked in ("mine", "square-24", "triangle-12", "y_0_0,cr_7_7", "all"):
        selection = freqprep.channels(asked, freqprep.open_store(saved)["val"])
        code, out, _ = call("channels", saved, "--channels", asked)
        assert code == 0 and fits(out)
        shown = out.split("\n\n")[-1].replace("\n", "").split(",")
        assert shown == list(selection.names)
        assert out.split("\n\n")[1].count("#") == len(selection)
        document = json.loads(call("channels", saved, "--channels", asked, "--json")[1])
        assert document["channels"] == list(selection.names)
    assert "mine" not in call("channels", "--channels", "square-24")[1]
    assert fits(call("channels", saved, "--channels", "m" * 64)[1])


def test_a_count_is_of_one_split(call, saved):
    code, out, err = call("channels", saved, "--channels", "24")
    assert (code, out) == (2, "") and "name one of: train, val" in err
    document = json.loads(
        call("channels", saved, "--split", "val", "--channels", "24", "--json")[1]
    )
    split = freqprep.open_store(saved)["val"]
    assert document["channels"] == list(freqprep.channels(24, split).names)


def test_what_is_asked_wrongly(call, saved, tmp_path):
    wrong = [
        (2, "name the store", ("--split", "val")),
        (2, "it has: train, val", (saved, "--split", "test")),
        (2, "square-24", ("--channels", "square-25")),
        (2, "needs the split", ("--channels", "mine")),
        (2, "of which data", ("--channels", "24")),
        (1, "freqprep convert", (tmp_path / "none",)),
        (1, "one split of a store", (saved / "val",)),
    ]
    for code, message, words in wrong:
        ended, out, err = call("channels", *words)
        assert (ended, out) == (code, "") and message in err and err.count("\n") == 1


def test_a_damaged_selection_is_named(call, saved):
    (saved / ".selections/mine.json").write_text("{")
    code, out, _ = call("channels", saved)
    assert code == 0 and "problem: .selections/mine.json" in out and "mine (saved)" not in out
    document = json.loads(call("channels", saved, "--json")[1])
    assert [one["where"] for one in document["problems"]] == [".selections/mine.json"]


def test_torch_is_not_needed(store):
    program = (
        "import sys; sys.modules['torch'] = None; "
        f"sys.argv = ['freqprep', 'channels', {str(store)!r}]; "
        "from freqprep_cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "square-24" in done.stdout, done.stderr
    assert synthetic.freqprep_json("channels")["rules"]
