"""A folded network and its unfolded form are the same function, in evaluation and in training."""

import numpy as np
import torch
from folding import CLASSES, fold

from freqprep.models.initial import load_weights
from freqprep.models.networks import build
from freqprep.models.rgb import IMAGENET_MEAN, IMAGENET_STD, load_rgb_network
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.models.unfolding import unfold

MEAN, STD = (torch.tensor(x).reshape(3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
GREY = (0.5 - MEAN) / STD  # what zero is in the folded network's input


def pictures(count, side):
    """Noise with large shapes, which no channel is blind to."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.uniform(0, 200, (count, 3, side // 8, side // 8)), np.ones((8, 8)))
    return torch.from_numpy(coarse + rng.uniform(0, 55, coarse.shape)).float()


def pad_as_tensorflow(network):
    """TensorFlow's formula, with its border: black and white's middle in the first layer."""

    def same(layer, arguments):
        size, kernel, stride = arguments[0].shape[-1], layer.kernel_size[0], layer.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        border = GREY if layer.in_channels == 3 else 0
        sides = 2 * (total // 2, total - total // 2)
        return (torch.nn.functional.pad(arguments[0] - border, sides) + border,)

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.padding = (0, 0)
            layer.register_forward_pre_hook(same)


def test_it_is_the_same_network_in_evaluation_and_in_training(folded, tmp_path):
    np.savez(tmp_path / "folded.npz", **folded)
    rgb = pictures(40, 64)  # more than are shown at once
    network = build("mobilenet_v2", input="rgb", classes=CLASSES)
    done = load_weights(network, tmp_path / "folded.npz", lambda: rgb)
    assert done.initialised == () and len(done.loaded) == len(network.state_dict())
    pad_as_tensorflow(network)
    network.classifier[0].p = 0.0
    with torch.inference_mode():
        expected = load_rgb_network(tmp_path / "folded.npz").logits(rgb)
        inputs = (rgb / 255 - MEAN) / STD
        near = {"rtol": 1e-3, "atol": 1e-3 * float(expected.std())}
        torch.testing.assert_close(network.eval()(inputs), expected, **near)
        torch.testing.assert_close(network.train()(inputs), expected, **near)
        statistics = network.features[3].conv[0][1].running_mean.clone()
        network(inputs)
        torch.testing.assert_close(network.features[3].conv[0][1].running_mean, statistics)


def test_resnets_names_come_back_too(tmp_path):
    torch.manual_seed(0)
    plain = import_torchvision().models.resnet50(weights=None, num_classes=3).eval()
    np.savez(tmp_path / "folded.npz", **fold(plain))
    state = unfold(load_rgb_network(tmp_path / "folded.npz"), pictures(2, 32))
    wanted = {n: t.shape for n, t in plain.state_dict().items() if "num_batches" not in n}
    assert {name: tensor.shape for name, tensor in state.items()} == wanted


def test_a_real_network_still_knows_its_images_when_training(data):
    """Norms that are set to do nothing, scale 1 and the folded bias, lose all that it knew."""
    from PIL import Image

    path = data / "weights" / "mobilenet_v2_imagenet_folded.npz"
    files = sorted((data / "imagenet" / "train").glob("*/*.JPEG"))[:12]
    images = [Image.open(file).convert("RGB").resize((224, 224)) for file in files]
    rgb = torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2).float()
    folded = load_rgb_network(path)
    network = build("mobilenet_v2", input="rgb", classes=folded.classes)
    assert load_weights(network, path, lambda: rgb).initialised == ()
    network.classifier[0].p = 0.0
    with torch.inference_mode():
        answers = folded.logits(rgb).argmax(1)
        inputs = (rgb / 255 - MEAN) / STD
        measured = (network(inputs).argmax(1) == answers).sum()
        for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.bias -= norm.running_mean
            norm.weight.fill_(1)
        nothing = (network(inputs).argmax(1) == answers).sum()
    assert measured >= 9 and nothing <= 1, (measured, nothing)  # ordinary padding, so not all
