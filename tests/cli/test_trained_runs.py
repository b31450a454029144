"""``freqprep evaluate``, ``predict`` and ``export``: what they print, write and refuse."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import runs
import synthetic
import torch

import freqprep
from freqprep.store.layout import MODEL_FILE
from freqprep.training.checkpoint import CHECKPOINT, NETWORK, write_checkpoint
from freqprep.training.model_config import ModelConfig, read_model_config


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "some picture.jpg"
    path.write_bytes(synthetic.picture(1))
    return path


@pytest.fixture
def copy(run_folder, tmp_path):
    """A run to be damaged."""
    return shutil.copytree(run_folder, tmp_path / "run")


def test_evaluate_as_json_and_for_people(call, run_folder, store):
    code, out, _ = call("evaluate", run_folder, store, "--split", "val", "--json")
    assert code == 0
    document = json.loads(out)
    val = freqprep.open_store(store)["val"]
    assert document["content_id"] == val.content_id
    assert (document["rows"], document["images"], document["rejected"]) == (24, 19, 5)
    assert document["strict_top1"] == document["top1_correct"] / 24
    assert [one["name"] for one in document["classes"]] == ["apple", "brick", "cloud"]
    code, out, err = call("evaluate", run_folder, store, "--batch-size", "5", "--device", "cpu")
    assert code == 0 and "error" not in err  # a slow machine shows progress there
    assert re.match(r"val of .*fit\.zarr: 19 of 24 evaluated, 5 rejected\n", out)
    assert f"top-1         {document['top1']:.2%} ({document['top1_correct']})" in out
    for one in document["classes"]:
        line = next(line for line in out.splitlines() if line.strip().startswith(one["name"]))
        assert line.split()[1:] == [str(one["images"]), str(one["correct"]), f"{one['top1']:.2%}"]


def test_predict_and_evaluate_agree(call, run_folder, store, source):
    val = freqprep.open_store(store)["val"]
    files = [source / "val" / key for key in val.keys]
    code, out, err = call("predict", run_folder, *files, "--top", "1", "--json")
    assert code == 1  # five files are broken
    document = json.loads(out)
    assert len(document["images"]) == 19 and len(document["failed"]) == 5
    first = {one["path"]: one["predictions"][0]["class_id"] for one in document["images"]}
    correct = sum(os.path.basename(os.path.dirname(path)) == name for path, name in first.items())
    evaluated = json.loads(call("evaluate", run_folder, store, "--json")[1])
    assert correct == evaluated["top1_correct"]
    said = [line for line in err.splitlines() if not line.startswith("predicting: ")]
    assert len(said) == 6 and "no answer for 5 files of 24" in said[-1]
    for one in document["failed"]:
        row = list(map(str, files)).index(one["path"])
        assert f"{one['reason']}: {one['detail']}" == val.defect(row)


def test_predict_for_people(call, run_folder, picture):
    code, out, err = call("predict", run_folder, picture, "--top", "2")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == str(picture) and len(lines) == 3
    names, shares = zip(*(line.split() for line in lines[1:] if line.strip()), strict=False)
    assert set(names) < {"apple", "brick", "cloud"}
    assert all(share.endswith("%") for share in shares)


def test_predict_in_a_folder_with_a_bad_file(call, run_folder, picture):
    (picture.parent / "cut.jpg").write_bytes(synthetic.broken(2))
    raw = os.path.join(os.fsencode(picture.parent), b"new\nline\xff.jpg")
    with open(raw, "wb") as file:
        file.write(synthetic.picture(2))
    code, out, err = call("predict", run_folder, picture.parent)
    assert code == 1
    assert f"{picture.parent}/cut.jpg: corrupt: " in err and "no answer for 1 file of 3" in err
    assert "new\\nline" in out and out.count("%") == 6
    code, out, _ = call("predict", run_folder, picture.parent, "--json")
    document = json.loads(out)
    assert code == 1
    assert [os.path.basename(one["path"]) for one in document["failed"]] == ["cut.jpg"]
    assert os.fsencode(document["images"][0]["path"]) == raw


def test_export_writes_what_torch_runs(call, run_folder, store, tmp_path):
    """As `test_export` has it of ONNX, which takes three times as long to make."""
    code, out, err = call("export", run_folder, "-o", tmp_path / "model.pt2")
    assert (code, err) == (0, "")
    assert "input n x 6 x 16 x 16, 3 classes" in out
    program = torch.export.load(tmp_path / "model.pt2").module()
    assert program(torch.zeros(2, 6, 16, 16)).shape == (2, 3)
    document = json.loads((tmp_path / "model.pt2.json").read_text())
    train = freqprep.open_store(store)["train"]
    assert document["content_ids"] == {"train": train.content_id}


def commands(run, store, picture, tmp_path):
    return {
        "evaluate": ("evaluate", run, store),
        "predict": ("predict", run, picture),
        "export": ("export", run, "-o", tmp_path / "model.onnx"),
    }


def changed(*where, value):
    """A damage: one value of the config becomes another."""

    def damage(run):
        config = json.loads((run / MODEL_FILE).read_text())
        del config["sha256"]  # as the message says to a person who edits it
        inner = config
        for key in where[:-1]:
            inner = inner[key]
        inner[where[-1]] = value
        (run / MODEL_FILE).write_text(json.dumps(config))

    return damage


CHANNELS = freqprep.channels("paper-6").names


def without_weights(run):
    write_checkpoint(run, read_model_config(run), {NETWORK: {}})


DAMAGE = {
    "no folder": (shutil.rmtree, "is not the folder of a run"),
    "no config": (lambda run: (run / MODEL_FILE).unlink(), "is not the folder of a run"),
    "no JSON": (lambda run: (run / MODEL_FILE).write_text("{"), "is not JSON"),
    "other JSON": (lambda run: (run / MODEL_FILE).write_text("[]"), "not a model config"),
    "another format": (changed("format", value="x"), "not a model config"),
    "a newer format": (changed("format_version", value="2.0"), "has format 2.0"),
    "a bad side": (changed("inputs", "side", value="many"), "the model config is malformed"),
    "a bad size": (changed("encoding", "geometry", "size", value=32.5), "is malformed"),
    "a bad precision": (changed("encoding", "precision", value="int4"), "is malformed"),
    "classes twice": (changed("classes", "ids", value=["a", "b", "a"]), "is malformed"),
    "an unknown model": (changed("model", value="vgg"), "'vgg'"),
    "no checkpoint": (lambda run: (run / CHECKPOINT).unlink(), "there is no checkpoint"),
    "a flipped bit": (lambda run: synthetic.flip(run / CHECKPOINT, 400_000), "is damaged"),
    "half a checkpoint": (lambda run: os.truncate(run / CHECKPOINT, 100_000), "is damaged"),
    "other bytes": (lambda run: (run / CHECKPOINT).write_bytes(b"PK"), "is damaged"),
    "no weights": (without_weights, "is not of the network"),
    "another network": (changed("gate", value=True), "is of another run than the config"),
    "other channels": (
        changed("inputs", "channels", value=["y_0_1", "y_0_0", *CHANNELS[2:]]),
        "is of another run than the config",
    ),
    "odd values": (changed("patches", value=1.5), "its patches is float"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_run_that_cannot_be_used(call, copy, store, picture, tmp_path, damage, message):
    damage(copy)
    for words in commands(copy, store, picture, tmp_path).values():
        code, out, err = call(*words)
        assert (code, out) == (1, ""), err
        assert err.startswith("error: ") and err.count("\n") == 1
        assert message in err and str(copy) in err
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_asked_wrongly(call, run_folder, store, picture, tmp_path):
    wrong = [
        (2, "it has: train, val", ("evaluate", run_folder, store, "--split", "test")),
        (2, "device 'tpu' cannot be used", ("evaluate", run_folder, store, "--device", "tpu")),
        (
            2,
            "--batch-size must be a whole number of at least 1",
            ("evaluate", run_folder, store, "--batch-size", "0"),
        ),
        (2, "--threads must be a whole number", ("evaluate", run_folder, store, "--threads", "0")),
        (1, "freqprep convert", ("evaluate", run_folder, tmp_path / "no.zarr")),
        (2, "--top must be a whole number", ("predict", run_folder, picture, "--top", "0")),
        (2, "device 'tpu' cannot be used", ("predict", run_folder, picture, "--device", "tpu")),
        (1, "missing: no such file", ("predict", run_folder, tmp_path / "no.jpg")),
        (2, ".onnx or .pt2", ("export", run_folder, "-o", tmp_path / "model.pb")),
        (2, "does not exist; create it", ("export", run_folder, "-o", tmp_path / "no" / "m.onnx")),
        (2, "-o", ("export", run_folder)),
    ]
    for code, message, words in wrong:
        ended, out, err = call(*words)
        assert ended == code and out == "" and message in err, (words, err)


def test_without_torch_the_extra_is_named(run_folder, store, picture, tmp_path):
    for name, words in commands(run_folder, store, picture, tmp_path).items():
        program = (
            "import sys; sys.modules['torch'] = None; sys.argv = "
            f"{['freqprep', *map(str, words)]!r}; from freqprep_cli.main import main; main()"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, ""), name
        assert "pip install 'freqprep[train]'" in done.stderr and "Traceback" not in done.stderr


def test_names_of_classes_are_kept_on_one_line(call, store, picture, tmp_path):
    train = freqprep.open_store(store)["train"]
    config = runs.make_config(train).to_dict()
    config["classes"]["names"] = ["red\napple", "br\u0000ick", "\ud800"]
    run = runs.make_run(tmp_path / "run", train, ModelConfig.from_dict(config))
    code, out, _ = call("predict", run, picture)
    assert code == 0 and len(out.splitlines()) == 4 and "red\\napple" in out
