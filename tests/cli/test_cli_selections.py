"""Saved selections on the command line: asked for, listed, checked."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import synthetic
from PIL import Image

import freqprep
from freqprep.spectrum.channels import Selection
from freqprep.store.selections import FOLDER, save_selection


@pytest.fixture
def saved(store, tmp_path) -> Path:
    """A store with the selections ``mine`` and ``plain``."""
    copy = Path(shutil.copytree(store, tmp_path / "copy.zarr"))
    save_selection(copy, Selection((0, 64, 128), "mine"), {"by": "energy", "split": "train"})
    save_selection(copy, Selection((0,), "plain"), {})
    return copy


@pytest.mark.parametrize(
    ("asked", "channels"),
    [("mine", [0, 64, 128]), ("plain", [0]), (f"copy.zarr/{FOLDER}/mine.json", [0, 64, 128])],
)
def test_show_takes_saved_selections(saved, tmp_path, asked, channels):
    split = freqprep.open_store(saved)["val"]
    row = int(np.flatnonzero(split.valid)[0])
    words = ["show", saved, str(row), "--split", "val", "-o", "row.png", "--channels", asked]
    done = synthetic.freqprep(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(channels)} of 192 channels" in " ".join(done.stdout.split())
    with Image.open(tmp_path / "row.png") as image:
        assert np.array_equal(np.asarray(image), split.image(row, channels))


def test_show_takes_a_count_and_names_what_there_is(saved, tmp_path):
    words = ["show", saved, "0", "--split", "val", "-o", "row.png", "--channels"]
    done = synthetic.freqprep(*words, "24", cwd=tmp_path)
    assert done.returncode == 0 and "24 of 192 channels" in " ".join(done.stdout.split())
    for asked, code, message in (
        ("193", 2, "1 to 192"),
        ("nothing", 2, f"saved in {saved}: mine, plain"),
        ("nothing.json", 1, "there is no file nothing.json"),
    ):
        done = synthetic.freqprep(*words, asked, cwd=tmp_path)
        assert done.returncode == code and done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ") and message in line


def test_info_lists_them_and_verify_checks_them(saved):
    printed = synthetic.freqprep("info", saved).stdout
    assert "selection mine: 3 channels by 'energy'\n" in printed
    assert "selection plain: 1 channel\n" in printed
    document = synthetic.freqprep_json("info", saved)
    assert list(document["selections"]) == ["mine", "plain"]
    assert document["selections"]["mine"]["channels"] == ["y_0_0", "cb_0_0", "cr_0_0"]
    assert document["selections"]["mine"]["made_from"] == {"by": "energy", "split": "train"}
    assert document["problems"] == []
    assert synthetic.freqprep("verify", saved).returncode == 0

    path = saved / FOLDER / "plain.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"made_from": {"a": float("nan")}}))
    where = f"{FOLDER}/plain.json"
    done = synthetic.freqprep("verify", saved)
    assert done.returncode == 4 and done.stdout.startswith(f"{where}: ")
    document = synthetic.freqprep_json("info", saved)
    assert list(document["selections"]) == ["mine"]
    assert [problem["where"] for problem in document["problems"]] == [where]
    assert f"problem: {where} " in synthetic.freqprep("info", saved).stdout
