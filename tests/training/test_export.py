"""Exported files answer as the network does, say what they want, and replace nothing by halves."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import runs
import torch

from freqprep.errors import FreqprepError, MissingPackageError, UsageError
from freqprep.store.reader import open_store
from freqprep.training import export as module
from freqprep.training.export import DESCRIPTION, check_target, describe, export


@pytest.fixture(scope="module")
def splits(store):
    return open_store(store)


def made(splits, kind, gate=False):
    config = runs.make_config(splits["train"], kind, gate)
    return config, runs.make_network(config, splits["train"])


def unnormalised(config, inputs):
    """The network's inputs in the units that an exported graph takes."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (config.inputs.mean, config.inputs.std))
    return (inputs * std + mean).numpy()


def answers(path, images):
    """From either form of file, by its own runtime."""
    if path.suffix == ".pt2":
        return torch.export.load(path).module()(torch.from_numpy(images)).detach().numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["image"]
    assert [one.name for one in session.get_outputs()] == ["logits"]
    return session.run(["logits"], {"image": images})[0]


def text_inside(path):
    if path.suffix == ".pt2":
        inside = {DESCRIPTION: ""}
        torch.export.load(path, extra_files=inside)
        return inside[DESCRIPTION]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map[DESCRIPTION]


@pytest.mark.parametrize(
    ("kind", "gate", "suffix"),
    [
        ("frequency", True, ".onnx"),
        ("frequency", True, ".pt2"),
        ("rgb", False, ".pt2"),
    ],
)
def test_a_file_answers_as_the_network_does(splits, tmp_path, kind, gate, suffix):
    config, network = made(splits, kind, gate)
    path = tmp_path / f"model{suffix}"
    written = export(config, network, path)
    inputs = runs.inputs_of(config, splits["val"])
    with torch.inference_mode():
        wanted = network(inputs).numpy()
    images = unnormalised(config, inputs)
    if kind == "rgb":
        assert images.min() >= -1e-3 and images.max() <= 255.001
    for count in (19, 1):
        np.testing.assert_allclose(answers(path, images[:count]), wanted[:count], atol=1e-4)
    assert len(np.unique(wanted.argmax(1))) > 1
    assert written.file_bytes == path.stat().st_size
    assert written.difference <= 1e-4
    beside = (tmp_path / f"model{suffix}.json").read_text()
    assert text_inside(path) == beside
    assert json.loads(beside) == json.loads(json.dumps(describe(config)))
    here = str(module.__file__).split("freqprep/training")[0].encode()
    assert here not in path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"model{suffix}", f"model{suffix}.json"]
    if suffix == ".onnx":
        onnx.checker.check_model(path, full_check=True)


def test_the_description_has_all_that_is_needed(splits):
    config = runs.make_config(splits["train"])
    document = describe(config)
    assert document["input"]["channels"] == list(config.inputs.channels)
    assert document["input"]["shape"] == ["images", 6, 16, 16]
    assert document["preprocessing"]["read"] == list(config.inputs.read)
    assert document["preprocessing"]["side"] == 128
    assert document["preprocessing"]["resize"] == 146
    assert document["preprocessing"]["encoding"] == config.encoding.to_dict()
    steps = dict(
        zip(config.inputs.read, document["preprocessing"]["quantization_steps"], strict=True)
    )
    assert steps["y_0_0"] == 8 and steps["y_3_3"] == 4
    assert document["classes"] == {
        "ids": ["apple", "brick", "cloud"],
        "names": ["apple", "brick", "cloud"],
    }
    assert document["content_ids"] == {"train": splits["train"].content_id}
    assert "32" in document["preprocessing"]["steps"][1]


def test_a_file_that_differs_is_not_written(splits, tmp_path, monkeypatch):
    config, network = made(splits, "frequency")
    path = tmp_path / "model.pt2"
    path.write_text("kept")
    wrong = (b"bytes", lambda images: np.ones((len(images), 3), np.float32))
    monkeypatch.setattr(module, "_to_program", lambda *_: wrong)
    with pytest.raises(FreqprepError, match="answers otherwise than the network"):
        export(config, network, path)
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


def test_a_graph_of_other_answers_is_noticed(splits):
    config, network = made(splits, "frequency")
    model = module.Normalised(config.inputs, network).eval()

    def near(images):
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy() + np.float32(1e-5)

    assert 0 < module._compare(model, config.inputs, near) < 1e-4
    for other in (
        lambda images: near(images) + 1e-3,
        lambda images: near(images) * np.nan,
        lambda images: near(images)[:1],
    ):
        with pytest.raises(FreqprepError):
            module._compare(model, config.inputs, other)


def test_targets_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "beside.onnx.json").mkdir()
    wrong = {
        "model.pt": ".onnx or .pt2",
        "model": ".onnx or .pt2",
        "folder.onnx": "it is not a file",
        "beside.onnx": "it is not a file",
        "no/model.onnx": "does not exist",
    }
    for name, message in wrong.items():
        with pytest.raises(UsageError, match=message):
            check_target(tmp_path / name)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_extra(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as error:
        check_target(tmp_path / "model.onnx")
    assert package in error.value.message
    assert error.value.remedy == "pip install 'freqprep[export]'"
    check_target(tmp_path / "model.pt2")
