"""``freqprep stats``: what it prints, saves and refuses."""

import json
import os
import shutil
from subprocess import CompletedProcess

import numpy as np
import pytest
import synthetic

import freqprep
from freqprep.spectrum.channels import NAMES, published


def strict(text: str) -> dict:
    """JSON without NaN and infinities."""

    def refuse(word):
        raise AssertionError(f"{word} in JSON")

    return json.loads(text, parse_constant=refuse)


def prose(done) -> str:
    """What was printed, its lines joined."""
    return " ".join(done.stdout.split())


@pytest.fixture
def run(call):
    """Run the command in this process."""

    def ran(*words: object) -> CompletedProcess[str]:
        return CompletedProcess(words, *call(*words))

    return ran


@pytest.fixture(scope="module")
def document(store):
    done = synthetic.freqprep(
        "stats", store, "--split", "train", "--top", "24", "--by", "energy", "--json"
    )
    assert done.returncode == 0, done.stderr
    return strict(done.stdout)


def test_the_top_by_energy_are_the_channels_of_the_most_energy(document, store):
    split = freqprep.open_store(store)["train"]
    valid = np.flatnonzero(split.valid)
    energy = (split.read(valid).astype(np.float64) ** 2).sum(axis=(0, 2, 3)) / split.blocks.sum()
    order = np.argsort(-energy, kind="stable")
    assert document["selection"] == [NAMES[k] for k in order[:24]]
    found = [document["scores"]["energy"]["values"][name] for name in NAMES]
    assert np.allclose(found, energy, rtol=1e-5)
    assert document["images"] == len(valid)
    assert document["rejected"] == (~split.valid).sum()
    assert freqprep.channels(24, split).names == tuple(document["selection"])


def test_the_document_has_every_score_or_says_why_not(document):
    listed = set(document["scores"]) | set(document["unavailable"])
    assert {
        *("mean", "std", "energy", "energy_share", "zero_fraction", "entropy", "bytes"),
        *("gain", "visible", "label_share", "label_information", "redundancy", "mrmr"),
    } == listed
    assert not document["unavailable"]
    for score in document["scores"].values():
        assert sorted(score["order"]) == sorted(NAMES)
        assert set(score["values"]) == set(NAMES)


def test_the_default_is_the_best_within_the_published_bytes(run, store):
    found = strict(run("stats", store, "--split", "train", "--json").stdout)
    assert found["by"] == "visible"
    assert found["budget"] == "square-24"
    assert found["bytes_per_image"] <= found["budget_bytes_per_image"]
    named = {one["name"]: one for one in found["published"]}
    assert found["budget_bytes_per_image"] == named["square-24"]["bytes_per_image"]
    assert len(found["selection"]) == found["count"] <= 24


def test_the_table_for_people(run, store):
    done = run("stats", store, "--split", "train", "--top", "6", "--compare", "val")
    assert done.returncode == 0
    assert "y_0_0" in done.stdout
    assert "chosen by visible" in prose(done)
    assert "against" in prose(done)
    assert "nan" not in done.stdout


def test_a_budget_for_all_images(run, store):
    words = ["--split", "val", "--top", "192", "--by", "visible", "--budget", "9KB", "--json"]
    found = strict(run("stats", store, *words).stdout)
    images = found["images"]
    assert found["budget_bytes_per_image"] == pytest.approx(9_000 / images)
    assert found["bytes_per_image"] * images <= 9_000
    assert found["count"] < 192


def test_saved_in_the_store_and_as_a_file(run, store, tmp_path, monkeypatch):
    copy = tmp_path / "x.zarr"
    shutil.copytree(store, copy)
    before = freqprep.open_store(copy)["train"].content_id
    words = ["stats", copy, "--split", "train", "--top", "9", "--by", "entropy"]
    words += ["--save", "mine", "-o", tmp_path / "mine.json", "--json"]
    chosen = strict(run(*words).stdout)["selection"]
    split = freqprep.open_store(copy)["train"]
    assert split.content_id == before
    for given in ("mine", str(tmp_path / "mine.json")):
        assert list(freqprep.channels(given, split).names) == chosen
        assert np.array_equal(split.read([0], given), split.read([0], chosen))
    saved = json.loads((tmp_path / "mine.json").read_text())
    assert saved["made_from"]["by"] == "entropy"
    assert saved["made_from"]["content_id"] == before
    monkeypatch.chdir(tmp_path)
    shown = run("show", copy, "0", "--split", "train", "--channels", "mine")
    assert "from 9 of 192 channels" in " ".join(shown.stdout.split()), shown.stderr
    assert run("verify", copy).returncode == 0


def folder(root, images: dict[str, list[bytes]]):
    for name, files in images.items():
        (root / name).mkdir(parents=True)
        for number, data in enumerate(files):
            (root / name / f"{number}.jpg").write_bytes(data)
    return root


def test_one_class_and_a_class_an_image_say_why_there_is_no_label_signal(run, tmp_path):
    pictures = [synthetic.picture(seed) for seed in range(10)]
    one = synthetic.make(folder(tmp_path / "one", {"a": pictures}), tmp_path / "one.zarr")
    done = run("stats", one)
    assert "all labelled images (10) are of one class" in prose(done)
    refused = run("stats", one, "--by", "label_share")
    assert refused.returncode == 2
    assert "one class" in refused.stderr
    each = {f"c{n}": [data] for n, data in enumerate(pictures)}
    single = synthetic.make(folder(tmp_path / "each", each), tmp_path / "each.zarr")
    assert "each of the 10 classes has a single image" in prose(run("stats", single))


def test_few_images_have_no_halves(run, tmp_path):
    pictures = {"a": [synthetic.picture(1)], "b": [synthetic.picture(2)]}
    few = synthetic.make(folder(tmp_path / "few", pictures), tmp_path / "few.zarr")
    document = strict(run("stats", few, "--json").stdout)
    assert document["scores"]["energy"]["stability"] is None
    assert "no halves of the data" in prose(run("stats", few))


def test_nothing_but_rejects(run, tmp_path):
    broken = folder(tmp_path / "broken", {"a": [synthetic.broken(n) for n in range(4)]})
    store = synthetic.make(broken, tmp_path / "x.zarr")
    done = run("stats", store)
    assert done.returncode == 1
    assert "nothing to count: 4 images, 4 rejected" in done.stderr


def test_a_store_still_being_written(run, store, tmp_path):
    copy = tmp_path / "x.zarr"
    copy.mkdir()
    shutil.copyfile(store / "zarr.json", copy / "zarr.json")
    shutil.copytree(store / "train", copy / ".partial-train")
    done = run("stats", copy, "--split", "train")
    assert done.returncode == 2
    assert "is still being written" in done.stderr
    assert "--resume" in done.stderr


REFUSED = {
    "--by loudness": "unknown score 'loudness'",
    "--top 0": "the top 0 channels",
    "--top 193": "the top 193 channels",
    "--budget lots": "'lots' is no budget",
    "--budget 1B/image": "does not hold y_0_0, the first channel by visible",
    "--budget 20B": "60GB for all of the split together",
    "--by forward": "--network",
    "--network nowhere.npz": "nowhere.npz",
    "--compare nowhere": "neither a split",
    "--scores nowhere.json": "nowhere.json",
    "--save square-24": "square-24",
    "--save ../x": "../x",
    "--sample 0": "--sample must be a whole number of at least 1",
    "--jobs 0": "--jobs must be at least 1, got 0",
    "--split test": "no finished split 'test'",
}


@pytest.mark.parametrize(("options", "message"), REFUSED.items())
def test_what_cannot_be_met(run, options, message, store):
    words = [] if "--split" in options else ["--split", "val"]
    done = run("stats", store, *words, *options.split())
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_published_lists_come_with_their_bytes(document):
    for one in document["published"]:
        assert one["count"] == len(published(one["name"]))
        assert one["bytes_per_image"] > 0
        assert 0 <= one["jaccard"] <= 1


def test_targets_that_cannot_be_written_are_refused_before_the_pass(run, store, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    targets = {
        "--report": [tmp_path / "folder", "", tmp_path / "no" / "r.html", "/dev/full"],
        "--plots": [tmp_path / "file", tmp_path / "no" / "plots"],
        "-o": [tmp_path / "folder", tmp_path / "x.txt", "/dev/null"],
    }
    for option, paths in targets.items():
        for path in paths:
            done = run("stats", store, "--split", "val", option, path)
            assert done.returncode == 2, (option, path, done.stderr)
            assert done.stderr.startswith("error: ")
            assert done.stderr.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize("package", ["matplotlib", "torch"])
def test_a_package_that_does_not_import_is_named(package, store, tmp_path):
    stub = tmp_path / package
    stub.mkdir()
    (stub / "__init__.py").write_text("raise ImportError('its library is not there')")
    weights = tmp_path / "x.npz"
    np.savez(weights, a=np.zeros(3))
    options = ["--report", tmp_path / "r.html"] if package == "matplotlib" else []
    options = options or ["--network", weights]
    words = ["stats", store, "--split", "val", *options]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = synthetic.in_a_process(*words, env={"PYTHONPATH": path})
    assert done.returncode == 1
    assert "its library is not there; pip install 'freqprep[" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_split_in_the_place_of_a_store(run, store):
    done = run("stats", store / "train")
    assert done.returncode == 1
    assert "is one split of a store" in done.stderr


def test_drift_says_by_which_score(run, store, crop_store):
    done = run("stats", store, "--split", "train", "--compare", crop_store, "--by", "entropy")
    assert "both ranked by entropy" in prose(done)


def test_drift_leaves_out_what_rounding_alone_makes(run, store):
    words = ["stats", store, "--split", "train", "--compare", "val"]
    document = json.loads(run(*words, "--json").stdout)
    below, said = document["drift"]["below_rounding"], prose(run(*words))
    table = said.partition("the channels that differ most:")[2]
    assert below and f"left out: {len(below)} channels with less energy than the error" in table
    assert not set(below) & set(table.split())
