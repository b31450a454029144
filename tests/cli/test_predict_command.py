"""``freqprep predict`` with a detector: what it prints, draws, writes and refuses."""

import json
import os
import shutil

import numpy as np
import pytest
import runs
import synthetic
from coco_folder import coco_folder
from PIL import Image

import freqprep
from freqprep.errors import UsageError
from freqprep.training.predict_pictures import picture_paths, write_picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return coco_folder(tmp_path_factory.mktemp("coco"))


@pytest.fixture(scope="module")
def coco_store(folder, tmp_path_factory):
    return synthetic.make(folder, tmp_path_factory.mktemp("store") / "coco.zarr", kind="coco")


@pytest.fixture(scope="module")
def detector(coco_store, tmp_path_factory):
    """The folder of a Mask R-CNN's run."""
    val = freqprep.open_store(coco_store)["val"]
    config = runs.make_detector_config(val, masks=True)
    return runs.make_run(tmp_path_factory.mktemp("runs") / "detector", val, config, seed=1)


def test_everything_at_once(call, detector, coco_store, folder, tmp_path):
    words = ("predict", detector, folder / "val2017")
    out_files = ("-o", tmp_path / "drawn", "--results", tmp_path / "x")
    code, out, err = call(*words, *out_files, "--threshold", "0.3", "--json")
    assert code == 1 and "30.jpg: corrupt" in err and "no answer for 1 file of 4" in err
    document = json.loads(out)
    assert [one["image_id"] for one in document["images"]] == [11, 12, 25]
    assert [one["size"] for one in document["images"]] == [[40, 60], [30, 20], [50, 50]]
    assert [os.path.basename(one["path"]) for one in document["failed"]] == ["30.jpg"]

    # The files have all of it, and are those of evaluation; the rest has what is sure.
    assert document["results"] == [f"{tmp_path}/x.bbox.json", f"{tmp_path}/x.segm.json"]
    call("evaluate", detector, coco_store, "--results", tmp_path / "evaluated")
    for kind, key in {"bbox": "bbox", "segm": "segmentation"}.items():
        results = json.loads((tmp_path / f"x.{kind}.json").read_text())
        evaluated = json.loads((tmp_path / f"evaluated.{kind}.json").read_text())
        assert results == sorted(evaluated, key=lambda one: one["image_id"])
        names = ("image_id", "category_id", key, "score")
        sure = [{n: r[n] for n in names} for i in document["images"] for r in i["detections"]]
        assert sure == [result for result in results if result["score"] >= 0.3]
        assert 0 < len(sure) < len(results)

    for one in document["images"]:
        assert one["picture"] == str(tmp_path / "drawn" / f"{one['image_id']}.png")
        picture = np.asarray(Image.open(one["picture"])).astype(int)
        plain = np.asarray(Image.open(one["path"]).convert("RGB"))
        assert list(picture.shape) == [*one["size"], 3]
        assert (np.abs(picture - plain).max() > 30) == bool(one["detections"])
    assert len(list((tmp_path / "drawn").iterdir())) == 3


def test_for_people(call, detector, folder, tmp_path):
    paths = [folder / "val2017" / name for name in ("11.jpg", "25.jpg")]
    code, out, err = call("predict", detector, *paths, "--threshold", "0.3", "-o", tmp_path / "n")
    assert (code, err) == (0, "")
    document = json.loads(call("predict", detector, *paths, "--threshold", "0.3", "--json")[1])
    lines = iter(out.splitlines())
    for one in document["images"]:
        assert next(lines) == one["path"]
        assert next(lines).split() == ["class", "score", "left", "top", "width", "height"]
        for found in one["detections"]:
            box = [f"{number:.1f}" for number in found["bbox"]]
            assert next(lines).split() == [found["class_name"], f"{found['score']:.2%}", *box]
        assert next(lines) == f"  -> {tmp_path}/n/{os.path.basename(one['path'])[:2]}.png"
    assert next(lines, None) is None


def test_sure_by_default_and_nothing_is_an_answer(call, detector, folder):
    path = folder / "val2017" / "11.jpg"
    document = json.loads(call("predict", detector, path, "--json")[1])
    scores = [one["score"] for one in document["images"][0]["detections"]]
    assert scores and min(scores) >= 0.5 and document["failed"] == []
    code, out, _ = call("predict", detector, path, "--threshold", "1")
    assert (code, out) == (0, f"{path}\n  nothing found\n")


def test_what_is_asked_wrongly(call, detector, run_folder, folder, tmp_path):
    image = folder / "val2017" / "11.jpg"
    (tmp_path / "file").touch()
    (tmp_path / "11.png").touch()
    wrong = {
        "--top of a detector; leave it out: it is for classifiers": (detector, "--top", "3"),
        "--threshold of a classifier; leave": (run_folder, "--threshold", "0.5"),
        "--output of a classifier; leave": (run_folder, "-o", tmp_path / "new"),
        "--results of a classifier; leave": (run_folder, "--results", tmp_path / "new"),
        "--threshold must be a number from 0 to 1": (detector, "--threshold", "1.5"),
        "file cannot hold pictures: it is not a folder": (detector, "-o", tmp_path / "file"),
        "does not exist; create it": (detector, "-o", tmp_path / "no" / "new"),
        f"{tmp_path}/11.png already exists; --overwrite": (detector, "-o", tmp_path),
        "x.bbox.json cannot be written": (detector, "--results", tmp_path / "no" / "x"),
    }
    for message, (run, *options) in wrong.items():
        code, out, err = call("predict", run, image, *options)
        assert (code, out) == (2, "") and message in err, err
    assert sorted(os.listdir(tmp_path)) == ["11.png", "file"]
    assert (tmp_path / "11.png").read_bytes() == b""


def test_an_unusable_run_is_named(call, detector, folder, tmp_path):
    copy = shutil.copytree(detector, tmp_path / "run")
    os.truncate(copy / "checkpoint.pt", 100_000)
    code, out, err = call("predict", copy, folder / "val2017", "-o", tmp_path / "new")
    assert (code, out) == (1, "") and "is damaged" in err and err.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_every_file_gets_a_picture_of_its_own(tmp_path):
    files = [b"a/cat.jpg", b"b/cat.png", b"cat-2.jpg", b"c/cat", b"\xff\n.jpg", b".jpg", b"1.2.jpg"]
    names = [os.fsencode(path.name) for path in picture_paths(tmp_path, files)]
    assert names == [
        b"cat.png", b"cat-2.png", b"cat-2-2.png", b"cat-3.png", b"\xff\n.png", b".jpg.png",
        b"1.2.png",
    ]  # fmt: skip
    long = picture_paths(tmp_path / "new", [b"x" * 255, b"x" * 254])
    for path in long:
        write_picture(path, np.zeros((2, 3, 3), np.uint8))
    assert sorted(os.listdir(tmp_path / "new")) == sorted(path.name for path in long)


def test_no_file_is_written_over(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"a\.png"):
        picture_paths(tmp_path, [b"b.jpg", b"a.jpg"])
    (path,) = picture_paths(tmp_path, [b"b.jpg"])
    path.write_bytes(b"made meanwhile")
    with pytest.raises(FileExistsError):
        write_picture(path, np.zeros((2, 3, 3), np.uint8))
    assert path.read_bytes() == b"made meanwhile"


def test_a_picture_that_cannot_be_written_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_picture(tmp_path / "a.png", np.zeros((2, 3, 7), np.uint8))
    assert os.listdir(tmp_path) == []
