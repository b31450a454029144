"""``freqprep stats --budget``: from a budget to a store that keeps it, and what it says."""

import json
import re
import shutil

import pytest
import synthetic

import freqprep
from freqprep.spectrum.channels import channels, published
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.steps_file import read_steps

pytestmark = pytest.mark.long


@pytest.fixture
def run(call):
    """Run a command that succeeds in this process; return what it prints."""

    def ran(*words: object) -> str:
        code, out, error = call(*words)
        assert code == 0, error
        return out

    return ran


@pytest.fixture
def found(run):
    """Run ``stats --json``; return the document, without NaN or infinity."""

    def ran(*words: object) -> dict:
        return json.loads(run("stats", *words, "--json"), parse_constant=pytest.fail)

    return ran


@pytest.fixture
def copy(store, tmp_path):
    return shutil.copytree(store, tmp_path / "copy.zarr")


def cost(split: freqprep.Split, names: list[str]) -> float:
    """Bytes an image of some channels, by the shards' indexes."""
    indices = list(channels(names).indices)
    return float(ChannelBytes.of(split).totals[indices].sum() / split.valid.sum())


BUDGET = ("--split", "train", "--top", "48", "--budget", "square-24")


def test_a_store_of_the_proposed_steps_keeps_the_budget(call, found, copy, source, tmp_path):
    proposed = found(copy, *BUDGET, "--save", "mine")
    steps = copy / ".selections/mine.steps.json"
    assert proposed["precision"] == str(steps)
    assert proposed["steps"] == read_steps(steps).to_dict()["steps"]
    assert proposed["by"] == proposed["allocations"][0]["name"]
    assert 24 < proposed["count"] <= 48
    new = tmp_path / "new.zarr"
    code, _, error = call("convert", "imagefolder", source, new, "--size", "32", "--steps", steps)
    assert code == 3, error  # some images are broken
    split = freqprep.open_store(new)["train"]
    assert split.attributes.encoding.precision == read_steps(steps)
    real = cost(split, proposed["selection"])
    assert real == pytest.approx(proposed["bytes_per_image"], rel=0.03)
    assert real <= proposed["budget_bytes_per_image"] * 1.03
    as_saved = freqprep.open_store(copy)["train"].read([0], "mine")
    assert as_saved.shape[1] == proposed["count"]
    # From the new store the same steps are proposed as the ones it has.
    again = found(new, *BUDGET, "--by", "energy", "-o", tmp_path / "again.json")
    assert again["steps"] == proposed["steps"]
    assert read_steps(tmp_path / "again.steps.json") == read_steps(steps)


def test_with_nothing_saved_the_precision_is_one_that_convert_takes(run, found, store, tmp_path):
    proposed = found(store, *BUDGET)
    assert proposed["precision"] in PRECISIONS and proposed["steps"] is None
    assert {one["precision"] for one in proposed["allocations"]} <= {*PRECISIONS}
    source = synthetic.image_folder(tmp_path / "few", {"train": 3})
    precision = proposed["precision"]
    run("convert", "imagefolder", source, tmp_path / "n.zarr", "--precision", precision)
    encoding = freqprep.open_store(tmp_path / "n.zarr")["train"].attributes.encoding
    assert encoding.precision == PRECISIONS[precision]


def test_the_document_of_a_joint_choice(found, copy):
    proposed = found(copy, *BUDGET, "--save", "mine")
    limit = proposed["budget_bytes_per_image"]
    assert limit == pytest.approx(
        cost(freqprep.open_store(copy)["train"], list(published("square-24").names))
    )
    visible = [one["psnr_visible"] for one in proposed["allocations"]]
    assert visible == sorted(visible, reverse=True)
    for one in proposed["allocations"]:
        assert one["bytes_per_image"] <= limit * (1 + 1e-9)
        assert len(one["selection"]) <= 48
    best = proposed["allocations"][0]
    assert (best["selection"], best["precision"]) == (proposed["selection"], "fitted")
    assert best["bytes_per_image"] == proposed["bytes_per_image"]
    saved = json.loads((copy / ".selections/mine.json").read_text())
    assert saved["made_from"]["precision"] == "fitted"
    assert saved["made_from"]["bytes_per_image"] == proposed["bytes_per_image"]


def test_a_score_chooses_channels_alone(found, store):
    chosen = found(store, *BUDGET, "--by", "energy")
    assert (chosen["precision"], chosen["steps"], chosen["allocations"]) == ("int8", None, [])
    split = freqprep.open_store(store)["train"]
    assert chosen["bytes_per_image"] == pytest.approx(cost(split, chosen["selection"]))
    assert chosen["bytes_per_image"] <= chosen["budget_bytes_per_image"]


def test_the_text_says_what_to_type(run, copy, tmp_path):
    output = tmp_path / "mine.json"
    text = run("stats", copy, *BUDGET, "-o", output)
    said = " ".join(text.split())
    assert f"Convert with --steps {tmp_path / 'mine.steps.json'} and read the" in said
    head = next(line for line in text.splitlines() if line.startswith("chosen by best-"))
    assert " at fitted" in head and "with its steps" in said
    assert re.search(r"^  best-\d+ at fitted \* +\d+ ", text, re.MULTILINE)
    assert "nan" not in text and "inf " not in text
    said = " ".join(run("stats", copy, "--split", "train").split())
    assert "Within the bytes of square-24, the best" in said
    assert "--budget square-24 --by best chooses them" in said


@pytest.mark.parametrize("name", ["store", "crop_store", "coarse_store", "fine_store"])
def test_every_store_is_given_a_sentence(request, run, name, tmp_path):
    path = request.getfixturevalue(name)
    said = " ".join(run("stats", path, *BUDGET, "-o", tmp_path / "x.json").split())
    level = " and --level 17" if name == "coarse_store" else ""
    assert f"Convert with --steps {tmp_path / 'x.steps.json'}{level} and read the" in said
    assert not re.search(r"\b(nan|inf)\b", said)
    chosen = json.loads((tmp_path / "x.json").read_text())["made_from"]["precision"]
    own = freqprep.open_store(path)["train"].attributes.encoding.precision.name
    assert chosen in {"fitted", *PRECISIONS, own}


def test_a_subset_that_lacks_the_published_channels(run, coarse_store, tmp_path):
    small = tmp_path / "small.zarr"
    run("pack", coarse_store, small, "--channels", "paper-6")
    said = " ".join(run("stats", small, "--split", "train", "--top", "6").split())
    assert "The store lacks channels of square-24, so precisions are not compared." in said
    words = ("--split", "train", "--top", "6", "--budget", "paper-6", "-o", tmp_path / "x.json")
    said = " ".join(run("stats", small, *words).split())
    assert re.search(r"Convert with \S+ \S+ and --level \d+ and read the 6 channels chosen", said)
    assert "square-24" not in said


def test_one_channel_one_image_and_no_room(call, found, store, tmp_path):
    one = found(store, "--split", "val", "--top", "1", "--budget", "paper-6")
    assert one["selection"] == ["y_0_0"]
    source = synthetic.image_folder(tmp_path / "one", {"train": 1})
    single = synthetic.make(source, tmp_path / "one.zarr")
    alone = found(single, "--top", "48", "--budget", "square-24", "-o", tmp_path / "x.json")
    assert 1 <= alone["count"] <= 48
    assert alone["bytes_per_image"] <= alone["budget_bytes_per_image"] * (1 + 1e-9)
    code, _, error = call("stats", store, "--split", "train", "--budget", "1B/image")
    assert code == 2 and "does not hold y_0_0" in error


def test_verify_checks_the_steps_beside_a_selection(call, found, copy):
    found(copy, *BUDGET, "--save", "mine")
    assert call("verify", copy)[0] == 0
    assert "mine.steps" not in call("info", copy)[1]
    steps = copy / ".selections/mine.steps.json"
    whole = steps.read_bytes()
    for damaged in (whole[:-20], whole.replace(b'"codes"', b'"kodes"'), b"", b"[]"):
        steps.write_bytes(damaged)
        code, out, error = call("verify", copy)
        assert code != 0 and "mine.steps.json" in out + error
    steps.write_bytes(whole)
    # A later choice under the name with steps that have a name leaves no file of older steps.
    found(copy, "--split", "train", "--by", "energy", "--save", "mine", "--overwrite")
    assert not steps.exists()
    assert call("verify", copy)[0] == 0


def test_with_the_source_finer_steps_are_compared(call, found, source, tmp_path):
    path = tmp_path / "compact.zarr"
    synthetic.make(source, path, precision=PRECISIONS["compact"])

    def precisions(*words: object) -> set[str]:
        return {one["precision"] for one in found(path, *BUDGET, *words)["allocations"]}

    assert "int8" not in precisions()
    assert "int8" in precisions("--source", source)
    code, _, error = call("stats", path, *BUDGET, "--source", tmp_path / "nothing")
    assert code != 0 and "nothing" in error
    code, _, error = call("stats", path, *BUDGET, "--source", source / "val")
    assert code != 0 and "name the folder that the store was made from" in error


def test_a_steps_file_alone_in_the_store_is_not_replaced(call, copy):
    steps = copy / ".selections/mine.steps.json"
    steps.parent.mkdir(exist_ok=True)
    steps.write_text("mine")
    for words in (["--top", "9"], BUDGET[2:]):
        code, _, error = call("stats", copy, "--split", "train", *words, "--save", "mine")
        assert code == 2 and "mine.steps.json" in error and "--overwrite" in error
        assert steps.read_text() == "mine"


def test_the_steps_of_another_selection_are_not_replaced(call, store, tmp_path):
    (tmp_path / "mine.steps.json").write_text("mine")
    code, _, error = call("stats", store, *BUDGET, "-o", tmp_path / "mine.json")
    assert code == 2 and "mine.steps.json" in error and "--overwrite" in error
    assert (tmp_path / "mine.steps.json").read_text() == "mine"
