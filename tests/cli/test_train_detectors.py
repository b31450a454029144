"""``freqprep train`` and ``evaluate`` with detectors: one figure everywhere, and COCO's files."""

import contextlib
import io
import json

import pytest
import synthetic
from compute_threads import one_compute_thread
from ranks import freqprep_on_ranks

torch = pytest.importorskip("torch")

from coco_shapes import shapes_folder  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402

from freqprep.training.coco_metrics import FIGURES  # noqa: E402
from freqprep.training.metrics import read_metrics  # noqa: E402

TINY = [
    "--model",
    "maskrcnn_resnet50_fpn",
    "--channels",
    "paper-6",
    "--grid",
    "9",
    "--device",
    "cpu",
]
TINY += ["--regions", "8", "--batch-size", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """8 images to train on and 4 for validation, one of these rejected."""
    root = tmp_path_factory.mktemp("coco")
    shapes_folder(root, {"train": 8, "val": 4})
    name = sorted((root / "val2017").iterdir())[-1]
    name.write_bytes(name.read_bytes()[:50])
    return root


@pytest.fixture(scope="module")
def shapes(folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "s.zarr"
    return synthetic.make(folder, store, kind="coco", size=48)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Figures are compared to the bit with those of processes of one thread."""
    with one_compute_thread():
        yield


@pytest.fixture(scope="module")
def trained(one_thread, shapes, tmp_path_factory):
    """A run of one process, and what it printed."""
    run = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", shapes, *TINY, "--run", run, "--epochs", "1"]
    return run, synthetic.freqprep_json(*words)


NUMBERS = ("images", "rejected", "objects", "box", "mask", "strict_box", "strict_mask")


def test_evaluation_is_the_last_validation_on_any_number_of_processes(call, trained, shapes):
    run, document = trained
    code, out, _ = call("evaluate", run, shapes, "--device", "cpu", "--json")
    assert code == 0
    evaluated = json.loads(out)
    assert {name: evaluated[name] for name in NUMBERS} == document["validation"]
    assert (evaluated["rows"], evaluated["images"], evaluated["rejected"]) == (4, 3, 1)
    together = freqprep_on_ranks("evaluate", run, shapes, "--device", "cpu", "--json")
    assert together.returncode == 0, together.stderr
    assert json.loads(together.stdout) == evaluated  # the second process is silent


def test_for_people_and_for_cocos_own_code(call, trained, shapes, folder, tmp_path):
    run, document = trained
    code, out, err = call("train", shapes, *TINY, "--run", run, "--epochs", "1", "--resume")
    assert code == 0, err
    assert out.startswith(f"maskrcnn_resnet50_fpn in {run}\n")
    for words in (
        "6 planes, short side 9",
        "box AP, AP50",
        "mask AP, AP50",
        "3 images, 1 rejected",
    ):
        assert words in out
    code, out, _ = call("evaluate", run, shapes, "--device", "cpu", "--results", tmp_path / "x")
    assert code == 0
    assert out.startswith(f"val of {shapes}: 3 of 4 evaluated, 1 rejected\n")
    heads = [line.split() for line in out.splitlines()]
    assert [str(document["validation"]["objects"]), "objects", "box", "mask"] in heads
    assert {line[0] for line in heads if line} >= {*FIGURES, "box", "disc"}
    assert out.endswith(f"written: {tmp_path}/x.bbox.json\nwritten: {tmp_path}/x.segm.json\n")
    for kind, what in (("bbox", "strict_box"), ("segm", "strict_mask")):
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(folder / "annotations" / "instances_val2017.json")
            results = truth.loadRes(str(tmp_path / f"x.{kind}.json"))
            evaluation = COCOeval(truth, results, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        assert len(results.anns) > 20
        # All of the file's images, those rejected too.
        expected = [None if value == -1 else pytest.approx(value) for value in evaluation.stats]
        assert [document["validation"][what][name] for name in FIGURES] == expected


def test_two_processes_train_one_detector_and_one_goes_on(shapes, tmp_path):
    run = tmp_path / "run"
    words = ["train", shapes, *TINY, "--run", run, "--epochs", "1", "--batch-size", "4"]
    words += ["--grid", "10"]
    done = freqprep_on_ranks(*words, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["validation"]["images"] == 3
    lines = read_metrics(run)
    assert [(line["kind"], line["steps"]) for line in lines] == [
        *(("train", 1), ("train", 2), ("validation", 2))
    ]
    alone = synthetic.freqprep_json(*words, "--resume")
    assert alone["validation"] == document["validation"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gate"], "has no --gate"),
        (["--mixup", "0.2"], "has no --mixup"),
        (["--aligned-crops"], "has no --aligned-crops"),
        (["--compile"], "has no --compile"),
        (["--batch-norm", "frozen"], "--batch-norm frozen without --init"),
        (["--batch-norm", "cold"], "--batch-norm must be frozen or trained"),
        (["--trained-stages", "2"], "--trained-stages 2 without --init"),
        (["--regions", "0"], "regions must be a whole number, at least 1, got 0"),
        (["--smallest-crop", "2"], "smallest_crop 2.0 is not above 0, up to 1"),
        (["--grid", "4"], "choose a grid from 8 to 512"),
        (["--model", "resnet50", "--regions", "7"], "no labels"),
    ],
)
def test_wrong_use_is_one_line_and_its_exit_code(call, shapes, tmp_path, words, said):
    run = tmp_path / "run"
    code, out, err = call("train", shapes, *TINY, "--epochs", "1", "--run", run, *words)
    assert (code, out) == (2, "")
    assert said in err and "Traceback" not in err
    assert not run.exists()


def test_results_of_a_classifier_are_refused(call, run_folder, store, tmp_path):
    code, out, err = call("evaluate", run_folder, store, "--results", tmp_path / "x")
    assert (code, out) == (2, "") and "--results of a classifier" in err
    assert list(tmp_path.iterdir()) == []
