"""Networks come back from their files as they were, folded or not; bad files are named."""

import pickle

import numpy as np
import pytest
import torch
from folding import CLASSES

from freqprep.errors import UsageError
from freqprep.models.rgb import IMAGENET_MEAN, IMAGENET_STD, load_rgb_network
from freqprep.models.torchvision_ops import import_torchvision


@pytest.fixture(scope="module")
def rgb():
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, 224, 224))).float()


@pytest.mark.parametrize("suffix", [".npz", ".pth", ".pt"])
def test_a_network_with_batch_norm_is_torchvisions(plain, rgb, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = plain.state_dict()
    if suffix == ".npz":
        np.savez(path, **{n: t.numpy() for n, t in state.items() if "num_batches" not in n})
    else:
        torch.save(state if suffix == ".pt" else {"model": state, "epoch": 3}, path)
    network = load_rgb_network(path)
    assert (network.architecture, network.style) == ("mobilenet_v2", "torchvision")
    assert network.classes == CLASSES
    mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        expected = plain((rgb / 255 - mean) / std)
        torch.testing.assert_close(network.logits(rgb), expected, rtol=1e-3, atol=1e-4)


def test_a_folded_network_is_tensorflows(plain, folded, rgb, tmp_path):
    np.savez(tmp_path / "folded.npz", **folded)
    network = load_rgb_network(tmp_path / "folded.npz")
    assert (network.architecture, network.style) == ("mobilenet_v2", "tensorflow")
    assert network.classes == CLASSES

    def same(layer, arguments):
        """TensorFlow's own formula."""
        size, kernel, stride = arguments[0].shape[-1], layer.kernel_size[0], layer.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides = (total // 2, total - total // 2)
        return (torch.nn.functional.pad(arguments[0], 2 * sides),)

    module = import_torchvision().models.mobilenet_v2(weights=None, num_classes=CLASSES)
    module.load_state_dict(plain.state_dict())
    for layer in module.eval().modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.padding = (0, 0)
            layer.register_forward_pre_hook(same)
    with torch.inference_mode():
        expected = module(rgb / 127.5 - 1)
        torch.testing.assert_close(network.logits(rgb), expected, rtol=1e-3, atol=1e-4)
        other = plain(rgb / 127.5 - 1)  # ordinary padding is not the same
    assert not torch.allclose(other, expected, rtol=1e-3, atol=1e-4)


def test_resnet50_with_batch_norm_and_without(rgb, tmp_path):
    models = import_torchvision().models
    for name, options in {
        "torchvision": {},
        "tensorflow": {"norm_layer": torch.nn.Identity},
    }.items():
        module = models.resnet50(weights=None, num_classes=5, **options)
        state = module.state_dict()
        if options:
            convs = [n for n in state if n != "fc.weight" and n.endswith("weight")]
            state |= {n.replace("weight", "bias"): torch.zeros(len(state[n])) for n in convs}
            state = {n: t / 4 for n, t in state.items()}
        torch.save(state, tmp_path / f"{name}.pt")
        network = load_rgb_network(tmp_path / f"{name}.pt")
        assert (network.architecture, network.style) == ("resnet50", name)
        logits = network.logits(rgb[:1])
        assert logits.shape == (1, 5) and logits.isfinite().all()


def refusal(path) -> str:
    with pytest.raises(UsageError) as error:
        load_rgb_network(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_wrong_tensors_are_named(folded, tmp_path):
    path = tmp_path / "bad.npz"

    def saved(**changes):
        tensors = {**folded, **{name.replace("__", "."): t for name, t in changes.items()}}
        np.savez(path, **{name: t for name, t in tensors.items() if t is not None})
        return path

    name, dotted = "features__18__0__bias", "features.18.0.bias"
    good = folded[dotted]
    assert f"missing: {dotted}" in refusal(saved(**{name: None}))
    assert f"{dotted} (3,) in place of (1280,)" in refusal(saved(**{name: good[:3]}))
    assert f"not of real numbers: {dotted}" in refusal(saved(**{name: good.astype(np.int32)}))
    assert f"not finite: {dotted}" in refusal(saved(**{name: good * np.nan}))
    assert f"not plain tensors: {dotted}" in refusal(saved(**{name: good.astype("U")}))
    assert "unknown: extra.weight" in refusal(saved(extra__weight=good))
    assert "none are the first and last" in refusal(saved(classifier__1__weight=None))
    assert "shape (7,)" in refusal(saved(classifier__1__weight=np.zeros(7, np.float32)))


def test_files_that_are_something_else_are_refused(folded, tmp_path):
    assert "cannot be read" in refusal(tmp_path / "missing.npz")
    (tmp_path / "network.onnx").touch()
    assert "unknown kind of file '.onnx'" in refusal(tmp_path / "network.onnx")
    for suffix in (".npz", ".pt"):
        path = tmp_path / f"other{suffix}"
        for content in (b"", b"not a network", pickle.dumps({"a": print})):
            path.write_bytes(content)
            assert "cannot be read" in refusal(path)
    np.savez(tmp_path / "objects.npz", **folded, extra=np.array([print], object))
    assert "cannot be read" in refusal(tmp_path / "objects.npz")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "not a state dict" in refusal(tmp_path / "list.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "small.pt")
    assert "of its 1 tensors (a)" in refusal(tmp_path / "small.pt")
