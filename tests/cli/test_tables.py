"""``evaluate --csv`` and ``--confusion``, ``predict --csv``, and files that exist already."""

import csv
import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import runs
import synthetic
from coco_folder import coco_folder
from compute_threads import one_compute_thread
from PIL import Image
from ranks import freqprep_on_ranks

import freqprep

HOSTILE = ("=cmd()", 'say "x", twice', "two\nlines")


def read(path):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tables(run_folder, store, tmp_path_factory):
    """Evaluated once: the document, and the folder of a.csv, c.csv and c.png."""
    folder = tmp_path_factory.mktemp("tables")
    words = ("evaluate", run_folder, store, "--split", "train", "--device", "cpu")
    document = synthetic.freqprep_json(
        *words, "--csv", folder / "a.csv", "--confusion", folder / "c.csv"
    )
    synthetic.freqprep_json(*words, "--confusion", folder / "c.png")
    return document, folder


def test_the_table_has_each_image_and_adds_up(tables, store):
    document, folder = tables
    split, rows = freqprep.open_store(store)["train"], read(folder / "a.csv")
    assert [int(row["row"]) for row in rows] == np.flatnonzero(split.valid).tolist()
    assert len(rows) == document["images"] == 155
    ids = split.attributes.class_ids
    for row in rows:
        assert row["key"] == split.keys[int(row["row"])]
        assert row["label_id"] == row["label_name"] == ids[split.labels[int(row["row"])]]
        assert int(row["correct"]) == (row["label_id"] == row["predicted_id"])
        chances = [float(row["probability"]), float(row["top2_probability"])]
        chances.append(float(row["top3_probability"]))
        assert sum(chances) == pytest.approx(1) and chances == sorted(chances, reverse=True)
        assert {row["predicted_id"], row["top2_id"], row["top3_id"]} == {*ids}
    assert sum(int(row["correct"]) for row in rows) == document["top1_correct"]


def test_the_matrix_is_that_of_the_table(tables):
    document, folder = tables
    confusion = document["confusion"]
    matrix = np.zeros((3, 3), int)
    for row in read(folder / "a.csv"):
        label = confusion["label_ids"].index(row["label_id"])
        matrix[label, confusion["predicted_ids"].index(row["predicted_id"])] += 1
    assert confusion["images"] == matrix.tolist()
    assert np.trace(matrix) == document["top1_correct"]
    listed = read(folder / "c.csv")
    assert [row["label_id"] for row in listed] == confusion["label_ids"]
    found = [[int(row[name]) for name in confusion["predicted_ids"]] for row in listed]
    assert found == matrix.tolist()
    wrong = {(a, b): matrix[a, b] for a in range(3) for b in range(3) if a != b and matrix[a, b]}
    worst = document["most_confused"]
    assert len(worst) == len(wrong) and worst[0]["images"] == max(wrong.values())
    counts = [pair["images"] for pair in worst]
    assert counts == sorted(counts, reverse=True)
    for pair in worst:
        label = confusion["label_ids"].index(pair["id"])
        assert (
            pair["images"] == matrix[label, confusion["predicted_ids"].index(pair["predicted_id"])]
        )
        assert pair["of"] == matrix[label].sum()
    with Image.open(folder / "c.png") as image:
        assert image.format == "PNG" and min(image.size) > 300


@pytest.fixture
def one_thread():
    """As many compute threads as in the processes of a test."""
    with one_compute_thread():
        yield


def test_two_processes_find_and_write_the_same_to_the_bit(
    one_thread, tables, run_folder, store, tmp_path
):
    words = ("evaluate", run_folder, store, "--split", "train", "--device", "cpu")
    options = ("--csv", "a.csv", "--confusion", "c.csv", "--batch-size", "24")
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    alone = synthetic.freqprep_json(*words, *options, cwd=one)
    assert alone["images"] == 155
    done = freqprep_on_ranks(*words, *options, "--json", cwd=two)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == alone
    assert (two / "a.csv").read_bytes() == (one / "a.csv").read_bytes()
    assert (two / "c.csv").read_bytes() == (one / "c.csv").read_bytes()
    assert (two / "c.csv").read_bytes() == (tables[1] / "c.csv").read_bytes()


def test_for_people_the_most_confused_and_the_files(call, run_folder, store, tables, tmp_path):
    words = ("evaluate", run_folder, store, "--split", "train", "--csv", tmp_path / "a.csv")
    code, out, _ = call(*words)
    assert code == 0 and f"written: {tmp_path}/a.csv\n" in out
    first = tables[0]["most_confused"][0]
    line = (
        f"{first['images']} of {first['of']}  {first['name']} taken for {first['predicted_name']}"
    )
    assert line in out
    head, *lines = out.splitlines()
    assert f"train of {store}: " in head  # whole, to be copied
    assert all(len(line) <= 80 for line in lines if "written" not in line)


def hostile_run(folder, store):
    """A run and a store whose classes have hostile ids and names, and the store's keys."""
    split = freqprep.open_store(store)["train"]
    config = dataclasses.replace(runs.make_config(split), class_ids=HOSTILE, class_names=HOSTILE)
    return runs.make_run(folder, split, config)


def test_hostile_names_and_keys_round_trip(call, tmp_path):
    source = tmp_path / "source"
    names = ["=a,b", "@c", '-"d', b"\xff\n+e"]
    for number, name in enumerate(names):
        for label in HOSTILE:
            path = os.path.join(os.fsencode(source / label), os.fsencode(name) + b".jpg")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(synthetic.picture(number))
    store = synthetic.make(source, tmp_path / "x.zarr", split="train")
    split = freqprep.open_store(store)["train"]
    run = hostile_run(tmp_path / "run", store)
    options = ("--csv", tmp_path / "a.csv", "--confusion", tmp_path / "c.csv")
    code, out, _ = call("evaluate", run, store, "--split", "train", *options)
    assert code == 0
    head, *lines = out.splitlines()
    assert f"train of {store}: " in head  # whole, to be copied
    assert all(len(line) <= 80 for line in lines if "written" not in line)
    assert [row["key"] for row in read(tmp_path / "a.csv")] == list(split.keys)
    assert {row["label_id"] for row in read(tmp_path / "a.csv")} == {*HOSTILE}
    assert {row["predicted_name"] for row in read(tmp_path / "a.csv")} <= {*HOSTILE}
    (tmp_path / "c.csv").read_bytes()
    listed = read(tmp_path / "c.csv")
    assert {*listed[0]} == {"label_id", "label_name", *HOSTILE}
    call("predict", run, source, "--csv", tmp_path / "p.csv")
    assert sorted(row["path"] for row in read(tmp_path / "p.csv")) == sorted(
        os.path.join(source, key) for key in split.keys
    )
    code, _, err = call(
        "evaluate", run, store, "--split", "train", "--confusion", tmp_path / "c.png"
    )
    assert code == 0, err


def test_images_without_a_label_or_of_a_class_unknown_to_the_network(store, tmp_path):
    train = freqprep.open_store(store)["train"]
    config = dataclasses.replace(
        runs.make_config(train), class_ids=("cloud", "dune", "apple"), class_names=("c", "d", "a")
    )
    run = runs.make_run(tmp_path / "run", train, config)
    document = synthetic.freqprep_json("evaluate", run, store, "--csv", tmp_path / "a.csv")
    rows = read(tmp_path / "a.csv")
    bricks = [row for row in rows if row["label_id"] == "brick"]
    assert bricks and all(row["correct"] == "0" for row in bricks)
    assert sum(int(row["correct"]) for row in rows) == document["top1_correct"]
    matrix = np.array(document["confusion"]["images"])
    assert matrix.sum() == document["images"]
    assert document["confusion"]["label_ids"] == ["apple", "brick", "cloud"]
    assert matrix[0, 2] + matrix[2, 0] == document["top1_correct"]


def test_predictions_of_a_classifier(call, run_folder, source, tmp_path):
    good, bad = source / "val/apple/00000.jpg", tmp_path / "none.jpg"
    words = ("predict", run_folder, good, bad, "--top", "2")
    code, out, _ = call(*words, "--csv", tmp_path / "p.csv", "--json")
    assert code == 1
    first, second = read(tmp_path / "p.csv")
    answers = json.loads(out)["images"][0]["predictions"]
    assert (first["path"], first["error"]) == (str(good), "")
    assert first["predicted_id"] == answers[0]["class_id"]
    assert float(first["probability"]) == answers[0]["probability"]
    assert float(first["top2_probability"]) == answers[1]["probability"]
    assert (second["path"], second["predicted_id"]) == (str(bad), "")
    assert second["error"] == "missing: no such file"


def test_detections(call, tmp_path):
    folder = coco_folder(tmp_path / "coco")
    store = synthetic.make(folder, tmp_path / "x.zarr", kind="coco")
    val = freqprep.open_store(store)["val"]
    run = runs.make_run(tmp_path / "run", val, runs.make_detector_config(val, masks=True))
    images = folder / "val2017"
    options = ("--csv", tmp_path / "p.csv", "--threshold", "0.3", "--json")
    document = json.loads(call("predict", run, images, *options)[1])
    found = read(tmp_path / "p.csv")
    listed = [(one["path"], d) for one in document["images"] for d in one["detections"]]
    rows = [row for row in found if row["class_id"]]
    assert len(rows) == len(listed) > 0
    for row, (path, one) in zip(rows, listed, strict=True):
        assert (row["path"], row["class_name"]) == (path, one["class_name"])
        assert float(row["score"]) == one["score"]
        box = [float(row[name]) for name in ("left", "top", "width", "height")]
        assert box == one["bbox"]
    assert {row["path"] for row in found} == {str(p) for p in images.iterdir()}
    (failed,) = (row for row in found if row["error"])
    assert failed["path"].endswith("30.jpg") and failed["error"].startswith("corrupt: ")
    code, _, err = call("predict", run, images / "11.jpg", "--threshold", "1", "--csv",
                        tmp_path / "none.csv")  # fmt: skip
    (nothing,) = read(tmp_path / "none.csv")
    assert code == 0 and (nothing["class_id"], nothing["error"]) == ("", ""), err

    words = ("evaluate", run, store, "--csv", tmp_path / "e.csv", "--results", tmp_path / "r")
    assert call(*words)[0] == 0
    results = json.loads((tmp_path / "r.bbox.json").read_text())
    rows = read(tmp_path / "e.csv")
    assert [(int(r["image_id"]), int(r["class_id"]), float(r["score"])) for r in rows] == [
        (r["image_id"], r["category_id"], r["score"]) for r in results
    ]
    assert all(r["key"] == f"{r['image_id']}.jpg" == val.keys[int(r["row"])] for r in rows)
    code, _, err = call(*words[:3], "--confusion", tmp_path / "c.csv")
    assert code == 2 and "--confusion of a detector" in err


def test_what_is_there_is_not_replaced_by_any_command(call, run_folder, store, source, tmp_path):
    """One rule: refused before the work, with the remedy; replaced with --overwrite."""
    store = shutil.copytree(store, tmp_path / "x.zarr")
    image = source / "val/apple/00000.jpg"
    evaluate, predict = ("evaluate", run_folder, store), ("predict", run_folder, image)
    stats, show = ("stats", store, "--split", "val"), ("show", store, "0", "--split", "val")
    row = str(int(np.flatnonzero(freqprep.open_store(store)["val"].valid)[0]))
    show = ("show", store, row, "--split", "val")
    cases = {
        "a.png": (*show, "-o"),
        "s.png": (*show, "-o", tmp_path / "new.png", "--sheet"),
        "a.csv": (*evaluate, "--csv"),
        "c.csv": (*evaluate, "--confusion"),
        "p.csv": (*predict, "--csv"),
        "o.json": (*stats, "-o"),
        "r.html": (*stats, "--report"),
        "m.pt2": ("export", run_folder, "-o"),
    }
    for name, words in cases.items():
        path = tmp_path / name
        path.write_text("kept")
        code, out, err = call(*words, path)
        assert (code, out) == (2, ""), (name, err)
        assert f"{path} already exists; --overwrite replaces it" in err
        assert path.read_text() == "kept" and err.count("\n") == 1
    assert not (tmp_path / "new.png").exists()
    for name, words in cases.items():
        if name in ("a.png", "a.csv", "p.csv", "m.pt2"):
            code, _, err = call(*words, tmp_path / name, "--overwrite")
            assert code == 0 and (tmp_path / name).read_bytes() != b"kept", err


def test_plots_and_saved_selections_are_not_replaced_either(call, store, tmp_path):
    store = shutil.copytree(store, tmp_path / "x.zarr")
    words = ("stats", store, "--split", "val", "--top", "3", "--by", "energy")
    assert call(*words, "--save", "mine")[0] == 0
    code, out, err = call(*words, "--save", "mine")
    assert (code, out) == (2, "") and "mine.json already exists; --overwrite" in err
    assert call(*words, "--save", "mine", "--overwrite")[0] == 0
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/notes.png").touch()
    (tmp_path / "plots/score-01-x.png").touch()
    code, out, err = call(*words, "--plots", tmp_path / "plots")
    assert (code, out) == (2, "") and "score-01-x.png already exists" in err


def test_results_and_pictures_are_not_replaced_and_no_source_ever_is(call, tmp_path):
    folder = coco_folder(tmp_path / "coco")
    store = synthetic.make(folder, tmp_path / "x.zarr", kind="coco")
    val = freqprep.open_store(store)["val"]
    run = runs.make_run(tmp_path / "run", val, runs.make_detector_config(val))
    (tmp_path / "f.bbox.json").write_text("kept")
    for words in (("evaluate", run, store), ("predict", run, folder / "val2017/11.jpg")):
        code, out, err = call(*words, "--results", tmp_path / "f")
        assert (code, out) == (2, "") and "f.bbox.json already exists; --overwrite" in err
    assert (tmp_path / "f.bbox.json").read_text() == "kept"
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(synthetic.pixels(1)).save(images / "a.png")
    before = (images / "a.png").read_bytes()
    for extra in ((), ("--overwrite",)):
        code, out, err = call("predict", run, images / "a.png", "-o", images, *extra)
        assert (code, out) == (2, "") and "would replace the files that they are of" in err
    assert (images / "a.png").read_bytes() == before
    drawn = ("predict", run, images / "a.png", "-o", tmp_path / "drawn")
    assert call(*drawn)[0] == 0
    assert call(*drawn)[0] == 2
    assert call(*drawn, "--overwrite")[0] == 0
