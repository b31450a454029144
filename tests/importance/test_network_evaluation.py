"""A network's view is the picture's, its losses are those of the channels, its labels are right."""

from types import SimpleNamespace

import numpy as np
import pytest
import synthetic
import torch

import freqprep
from freqprep.errors import UsageError
from freqprep.importance import network_evaluation as module
from freqprep.importance.network_evaluation import (
    NetworkSample,
    evaluate_selections,
    forward_selection,
    measure_removal,
)
from freqprep.importance.network_view import Views, resize_matrix
from freqprep.models.rgb import load_rgb_network
from freqprep.sources.imagenet import class_names
from freqprep.spectrum.channels import CHANNELS, NAMES, Selection, channels
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.spectrum.dct import grid_of, inverse

ALL = channels("all")


class Pooled:
    """Fixed random weights on the colours of 7x7 squares."""

    classes = 3

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.weights = torch.from_numpy(rng.normal(0, 2e-4, (3 * 32 * 32, 3))).float()

    def logits(self, rgb):
        assert rgb.dtype == torch.float32 and rgb.shape[1:] == (3, 224, 224)
        assert rgb.min() >= 0 and rgb.max() <= 255
        return torch.nn.functional.avg_pool2d(rgb, 7).flatten(1) @ self.weights


class Luma:
    """The first class is dark, the second bright; nothing else counts."""

    classes = 2

    def logits(self, rgb):
        bright = (rgb.mean((2, 3)) @ torch.tensor([0.299, 0.587, 0.114]) - 128) / 20
        return torch.stack([-bright, bright], 1)


@pytest.fixture(scope="module")
def split(store):
    return freqprep.open_store(store)["train"]


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """Grey images of two classes, dark and bright."""
    root = tmp_path_factory.mktemp("grey")
    for index in range(12):
        folder = root / "train" / ("dark", "light")[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture = synthetic.pixels(index, 24, 32)[..., 0] // 2 + 127 * (index % 2)
        (folder / f"{index}.png").write_bytes(synthetic.encoded(picture, "PNG"))
    store = synthetic.make(root, root / "grey.zarr")
    return freqprep.open_store(store)["train"]


def rebuilt(split, row: int) -> np.ndarray:
    """The network's view by way of the picture in full size."""
    height, width = (int(n) for n in split.sizes[row])
    rows, columns = grid_of(height, width)
    coefficients = split.read([row])[0, :, :rows, :columns].reshape(3, 64, rows, columns)
    picture = np.stack([inverse(c)[:height, :width] for c in coefficients])
    size = [int(256 * side / min(height, width)) for side in (height, width)]
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(picture[None].astype(np.float64)),
        size=size,
        mode="bilinear",
        antialias=True,
    )[0].numpy()
    top, left = (round((side - 224) / 2) for side in size)
    crop = resized[:, top : top + 224, left : left + 224]
    return np.clip(ycbcr_to_rgb(crop.transpose(1, 2, 0)), 0, 255).transpose(2, 0, 1)


@pytest.mark.parametrize("length,resized", [(20, 256), (256, 256), (500, 256), (317, 224), (3, 2)])
def test_resizing_is_that_of_torch(length, resized):
    given = torch.eye(length, dtype=torch.float64)[None, None]
    expected = torch.nn.functional.interpolate(
        given, size=(resized, length), mode="bilinear", antialias=True
    )[0, 0].numpy()
    np.testing.assert_allclose(resize_matrix(length, resized), expected, atol=1e-12)


def test_all_channels_are_the_picture(split):
    network = Pooled()
    sample = NetworkSample.gather(split, network, images=9)
    pictures = np.stack([rebuilt(split, row) for row in sample.rows])
    views = Views(split, sample.rows, [ALL]).rgb(ALL)
    np.testing.assert_allclose(views, pictures, atol=0.1)

    outcomes = evaluate_selections(split, network, sample, [ALL])
    logits = network.logits(torch.from_numpy(pictures).float())
    targets = torch.from_numpy(split.labels[sample.rows])
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    assert outcomes.cross_entropy.dtype == np.float64 and outcomes.correct.dtype == bool
    np.testing.assert_allclose(outcomes.cross_entropy[0], expected, rtol=1e-3)
    np.testing.assert_array_equal(outcomes.correct[0], (logits.argmax(1) == targets).numpy())


def test_a_selection_does_not_depend_on_the_others_or_on_batches(split, monkeypatch):
    network = Pooled()
    sample = NetworkSample.gather(split, network, images=7)
    names = ["all", "paper-6", "square-24", "y_3_3", "paper-64"]
    selections = [channels(name) for name in names] + [Selection(ALL.indices[1:]), Selection(())]
    together = evaluate_selections(split, network, sample, selections)
    monkeypatch.setattr(module, "BATCH", 3)
    batches = evaluate_selections(split, network, sample, selections)
    np.testing.assert_allclose(batches.cross_entropy, together.cross_entropy, rtol=1e-4)
    alone = [
        evaluate_selections(split, network, sample, [one]).cross_entropy[0] for one in selections
    ]
    np.testing.assert_allclose(together.cross_entropy, alone, rtol=1e-4)
    np.testing.assert_allclose(together.loss, np.mean(alone, axis=1), rtol=1e-4)
    assert together.accuracy.shape == (len(selections),)
    grey = network.logits(torch.full((1, 3, 224, 224), 128.0))[0].log_softmax(0)
    np.testing.assert_allclose(together.cross_entropy[-1], -grey[sample.targets], rtol=1e-3)


def test_clipping_comes_after_the_sum(split):
    rows = np.flatnonzero(split.valid)[:3]
    view = Views(split, rows, [channels("y_0_0"), ALL]).rgb(channels("y_0_0"))
    assert view.min() >= 0 and view.max() <= 255
    np.testing.assert_allclose(view[:, 0], view[:, 1], atol=1e-3)  # luma alone is grey


def test_removing_a_channel_of_zeros_changes_nothing(grey):
    network = Luma()
    sample = NetworkSample.gather(grey, network, images=4)
    lost = measure_removal(grey, network, sample)
    for array in (lost.loss_change, lost.loss_error, lost.accuracy_change):
        assert array.shape == (CHANNELS,)
    assert np.abs(lost.loss_change[64:]).max() == 0
    assert np.abs(lost.accuracy_change[64:]).max() == 0
    assert lost.loss_change[0] > 0.1 and lost.accuracy == 1
    assert np.argmax(lost.loss_change) == 0


def test_forward_selection_takes_what_the_network_looks_at(grey):
    network = Luma()
    sample = NetworkSample.gather(grey, network)
    found = forward_selection(grey, network, sample, 3)
    assert found.order[0] == NAMES.index("y_0_0") and len(set(found.order)) == 3
    kept = evaluate_selections(grey, network, sample, [Selection(found.order)])
    assert found.losses[-1] == pytest.approx(kept.loss[0], rel=1e-5)
    assert found.accuracies[-1] == kept.accuracy[0]


def test_forward_selection_keeps_to_what_is_allowed_fits_and_is_a_corner(grey):
    network = Luma()
    sample = NetworkSample.gather(grey, network, images=2)
    cost = np.arange(CHANNELS) + 1.0

    def order(count, **options):
        return forward_selection(grey, network, sample, count, **options).order

    assert set(order(9, allowed=[64, 66, 128])) == {64, 66, 128}
    assert sorted(order(2, start=(0, 1), allowed=range(16)))[0] in (2, 8)
    assert order(4, channel_bytes=cost, byte_limit=2.5) == (0,)
    assert set(order(3, channel_bytes=cost, byte_limit=12)) in ({0, 1, 8}, {0, 1, 2})
    assert order(3, start=(0,), channel_bytes=cost, byte_limit=2.9) == ()
    with pytest.raises(UsageError, match="byte_limit"):
        order(1, byte_limit=10)


def fake(ids, labels=(0, 1, 2), valid=(True, True, True)):
    class Fake:
        path = "fake.zarr"
        attributes = SimpleNamespace(class_ids=tuple(ids))

        def __len__(self):
            return len(valid)

    split = Fake()
    split.labels, split.valid = np.array(labels), np.array(valid)
    return split


def test_labels_are_mapped_by_wnid():
    wnids = list(class_names())
    thousand = SimpleNamespace(classes=1000)
    chosen = [wnids[700], wnids[3], wnids[999]]
    np.testing.assert_array_equal(
        NetworkSample.gather(fake(chosen), thousand).targets, [700, 3, 999]
    )
    three = SimpleNamespace(classes=3)
    np.testing.assert_array_equal(NetworkSample.gather(fake("abc"), three).targets, [0, 1, 2])
    with pytest.raises(UsageError, match="has others: cat, dog;"):
        NetworkSample.gather(fake([wnids[0], "cat", "dog"]), thousand)
    with pytest.raises(UsageError, match=r"has 10 classes and fake\.zarr 3"):
        NetworkSample.gather(fake(chosen), SimpleNamespace(classes=10))


def test_a_sample_is_of_valid_labelled_rows_and_repeats(split):
    network = Pooled()
    everything = NetworkSample.gather(split, network, images=1000)
    np.testing.assert_array_equal(everything.rows, np.flatnonzero(split.valid))
    one, same, other = (NetworkSample.gather(split, network, images=9, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(one.rows, same.rows)
    assert not np.array_equal(one.rows, other.rows) and len(one) == 9
    np.testing.assert_array_equal(one.targets, split.labels[one.rows])
    asked = np.flatnonzero(split.valid)[[5, 2]]
    np.testing.assert_array_equal(NetworkSample.gather(split, network, asked).rows, sorted(asked))


def test_splits_without_labels_or_valid_rows_are_refused(split):
    three = SimpleNamespace(classes=3)
    with pytest.raises(UsageError, match="no labels"):
        NetworkSample.gather(fake("abc", labels=(-1, -1, -1)), three)
    with pytest.raises(UsageError, match="no labels"):
        NetworkSample.gather(fake([], labels=(-1, -1, -1)), three)
    with pytest.raises(UsageError, match="none of the 2 rows"):
        NetworkSample.gather(fake("abc", valid=(False, False, True)), three, rows=[0, 1])
    with pytest.raises(UsageError, match="at least 1 image, got 0"):
        NetworkSample.gather(split, three, images=0)


def test_a_real_network_knows_real_images(data, tmp_path):
    images = tmp_path / "imagenet" / "train"
    images.mkdir(parents=True)
    for folder in sorted((data / "imagenet" / "train").iterdir())[:20]:
        (images / folder.name).symlink_to(folder)
    store = synthetic.make(images.parent, tmp_path / "i.zarr", kind="imagenet", size=512)
    split = freqprep.open_store(store)["train"]
    network = load_rgb_network(data / "weights" / "mobilenet_v2_imagenet_folded.npz")
    sample = NetworkSample.gather(split, network)
    assert len(sample) == 20
    outcomes = evaluate_selections(
        split, network, sample, [ALL, channels("paper-64"), channels("paper-6")]
    )
    assert outcomes.accuracy[0] >= 0.7
    assert outcomes.loss[0] < outcomes.loss[2] and outcomes.loss[1] < outcomes.loss[2]
