"""The file of measurements: appended, cut at a checkpoint, readable whatever happened."""

import dataclasses
import math

import pytest
from PIL import Image

from freqprep.report.style import as_png
from freqprep.training import curves
from freqprep.training.classifier_task import ClassifierTask
from freqprep.training.curves import CURVES, write_curves
from freqprep.training.loop import train
from freqprep.training.metrics import METRICS, MetricsLog, read_metrics


def write(log: MetricsLog, first: int, stop: int) -> None:
    for step in range(first, stop):
        log.write("train", step, step / 10, {"loss": 1 / (step + 1), "top1": 0.5})


def test_lines_after_the_checkpoint_are_cut(tmp_path):
    log = MetricsLog(tmp_path)
    write(log, 0, 4)
    kept = log.sync()
    write(log, 4, 9)
    log.close()
    assert [line["steps"] for line in read_metrics(tmp_path)] == list(range(9))
    log = MetricsLog(tmp_path, kept)
    write(log, 4, 6)
    log.close()
    assert [line["steps"] for line in read_metrics(tmp_path)] == list(range(6))


def test_numbers_that_json_does_not_have_are_null(tmp_path):
    log = MetricsLog(tmp_path)
    values = {"probabilities": [0.5, math.nan, [-math.inf]]}  # as of a gate that diverged
    log.write("train", 1, 0.1, {"loss": math.nan, "top1": math.inf, "lr": 0.1, **values})
    log.close()
    (line,) = read_metrics(tmp_path)
    assert line == {
        "kind": "train",
        "steps": 1,
        "epochs": 0.1,
        "loss": None,
        "top1": None,
        "lr": 0.1,
        "probabilities": [0.5, None, [None]],
    }


def test_a_torn_line_is_passed_over(tmp_path):
    log = MetricsLog(tmp_path)
    write(log, 0, 3)
    log.close()
    data = (tmp_path / METRICS).read_bytes()
    (tmp_path / METRICS).write_bytes(data[:-5] + b"\n[1]\n")
    assert [line["steps"] for line in read_metrics(tmp_path)] == [0, 1]


def test_the_curves_are_a_picture(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(curves, "as_png", as_png)  # no run of these tests draws
    assert not write_curves(tmp_path, ClassifierTask.curve_panels)  # nothing measured yet
    log = MetricsLog(tmp_path)
    write(log, 0, 20)
    log.write("validation", 20, 2.0, {"loss": 0.3, "top1": 0.7})
    log.close()
    assert write_curves(tmp_path, ClassifierTask.curve_panels)
    with Image.open(tmp_path / CURVES) as picture:
        assert picture.format == "PNG" and picture.width > 500
    assert {path.name for path in tmp_path.iterdir()} == {METRICS, CURVES}


def test_curves_that_a_kill_left_out_are_drawn_by_resume(tiny):
    request = tiny(epochs=1)
    train(request)
    (request.run / CURVES).unlink()
    train(dataclasses.replace(request, resume=True))
    assert (request.run / CURVES).is_file()
