"""A row's input depends on the seed, the epoch and the row, and is what pixels would give."""

import numpy as np
import pytest
import torch
from pixel_side import Stored
from synthetic import encoded, pixels

import freqprep
from freqprep.augment import (
    Augment,
    ClassifierInput,
    Policy,
    Preprocess,
    Resampler,
)
from freqprep.errors import UsageError
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.spectrum.channels import channels
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.streaming.batch import Batch

import_torchvision()
from torchvision.transforms import v2  # noqa: E402

GRID = (12, 12)
ENCODING = Encoding(
    Geometry("fit", 96, None, "apply"), PRECISIONS["int16"]
)  # of that grid; all steps are 1
JITTER = Policy(brightness=0.4, contrast=0.3, saturation=0.5, grey=0.3)
READ = channels("paper-64")
KINDS = ["frequency", "rgb"]


def inputs_of(kind: str, side: int = 32) -> ClassifierInput:
    if kind == "rgb":
        return ClassifierInput(
            kind="rgb",
            read=READ.names,
            channels=(),
            side=side,
            resize=side + 8,
            mean=(120.0,) * 3,
            std=(60.0,) * 3,
        )
    used = channels("square-24")
    return ClassifierInput(
        kind="frequency",
        read=READ.names,
        channels=used.names,
        side=side,
        resize=side + 8,
        mean=(1.0,) * 24,
        std=(50.0,) * 24,
    )


@pytest.fixture(scope="module")
def images() -> list[Stored]:
    files = [encoded(pixels(seed, 96 - seed, 50 + 2 * seed), "PNG") for seed in range(20)]
    return [Stored.of(data, "int16", 96) for data in files]


def batch(images: list[Stored], rows: list[int], epoch: int = 0) -> Batch:
    codes = np.stack([images[row].codes[list(READ.indices)] for row in rows])
    sizes = np.array([images[row].size for row in rows], np.int32)
    labels = torch.zeros(len(rows), dtype=torch.int64)
    return Batch(torch.from_numpy(codes), labels, np.array(rows), sizes, epoch, 0)


def augment(kind: str, policy: Policy = JITTER, seed: int = 0) -> Augment:
    return Augment(inputs_of(kind), ENCODING, policy, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_in_any_batch(images, kind):
    change = augment(kind)
    together = change(batch(images, list(range(20))))
    assert together.shape == (20, *inputs_of(kind).shape) and together.dtype == torch.float32
    for rows in ([3], [19, 3, 0], [5, 3, 12, 7, 1]):
        found = change(batch(images, rows))
        assert (found - together[rows]).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_and_seeds_differ(images, kind):
    rows = list(range(20))
    first = augment(kind)(batch(images, rows))
    assert torch.equal(first, augment(kind)(batch(images, rows)))
    for other in (
        augment(kind)(batch(images, rows, epoch=1)),
        augment(kind, seed=1)(batch(images, rows)),
    ):
        differ = (other - first).abs().amax(dim=(1, 2, 3)) > 1e-2
        assert differ.all()


@pytest.mark.parametrize("kind", KINDS)
def test_flips_happen_as_often_as_asked(images, kind):
    whole = Policy(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    rows = [0] * 20
    made = batch(images, rows)
    made = Batch(made.codes, made.labels, np.arange(20), made.sizes, 0, 0)
    plain, always, half = (
        augment(kind, Policy(whole.scale, whole.ratio, flip=p))(made) for p in (0.0, 1.0, 0.5)
    )
    is_flipped = (half - always).abs().amax(dim=(1, 2, 3)) < 1e-4
    is_plain = (half - plain).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert (is_flipped ^ is_plain).all()
    assert 3 < is_flipped.sum() < 17


def test_colours_are_of_the_crop_and_within_the_policy(images):
    plain = Policy(flip=0.0)
    rows = list(range(20))
    made = batch(images, rows)
    before = augment("frequency", plain)(made) * 50 + 1
    used = channels("square-24")
    luma = [place for place, index in enumerate(used.indices) if 0 < index < 64]
    chroma = [place for place, index in enumerate(used.indices) if index >= 64]

    def factor(policy, places):
        after = augment("frequency", policy)(made) * 50 + 1
        ratio = (after[:, places] * before[:, places]).sum((1, 2, 3))
        return ratio / before[:, places].square().sum((1, 2, 3))

    bright = factor(Policy(flip=0.0, brightness=0.3), luma)
    assert bright.min() >= 0.7 - 1e-4 and bright.max() <= 1.3 + 1e-4 and bright.std() > 0.1
    assert (factor(Policy(flip=0.0, saturation=0.3), luma) - 1).abs().max() < 1e-4
    assert factor(Policy(flip=0.0, saturation=0.3), chroma).std() > 0.1
    grey = factor(Policy(flip=0.0, grey=0.5), chroma)
    assert ((grey.abs() < 1e-4) | ((grey - 1).abs() < 1e-4)).all()
    assert 3 < (grey.abs() < 1e-4).sum() < 17


def test_rgb_is_clipped_before_it_is_normalised(images):
    bright = Policy(brightness=1.0, contrast=1.0)
    found = augment("rgb", bright)(batch(images, list(range(20)))) * 60 + 120
    assert found.min() >= -1e-3 and found.max() <= 255 + 1e-3
    assert (found > 254.999).any() and (found < 0.001).any()


def test_evaluation_sees_what_torchvision_would(images):
    everything = channels("all")
    inputs = ClassifierInput(
        kind="rgb",
        read=everything.names,
        channels=(),
        side=40,
        resize=48,
        mean=(120.0, 110.0, 100.0),
        std=(60.0, 61.0, 62.0),
    )
    sizes = np.array([image.size for image in images])
    codes = torch.from_numpy(np.stack([image.codes for image in images]))
    found = Preprocess(inputs, ENCODING)(codes, sizes)
    expected = v2.Compose(
        [
            v2.Resize(48, antialias=True),
            v2.CenterCrop(40),
            v2.Lambda(lambda rgb: rgb.clamp(0, 255)),
            v2.Normalize(inputs.mean, inputs.std),
        ]
    )
    for image, one in zip(images, found, strict=True):
        rgb = torch.from_numpy(image.rgb.astype(np.float32))
        assert (one - expected(rgb)).square().mean().sqrt() < 0.5 / 60


def test_a_ready_made_crop_passes_untouched(crop_store):
    split = freqprep.open_store(crop_store)["train"]
    used = channels("learned-24")
    inputs = ClassifierInput.frequency(split, used, used, 3)
    rows = np.flatnonzero(split.valid)[:20]
    codes = torch.from_numpy(split.read_codes(rows, used).copy())
    found = Preprocess(inputs, split.attributes.encoding)(codes, split.sizes[rows]).numpy()
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (inputs.mean, inputs.std))
    np.testing.assert_array_equal(found, (split.read(rows, used) - mean) / std)


@pytest.mark.parametrize(
    ("policy", "grid"),
    [
        (Policy(flip=0), 7),
        (Policy(flip=0, scale=(0.05, 0.2)), 3),
        (Policy(flip=0, aligned=True), 3),
    ],
    ids=["larger", "smaller", "aligned"],
)
def test_what_is_augmented_has_mean_zero_and_deviation_one(crop_store, policy, grid):
    split = freqprep.open_store(crop_store)["train"]
    used, read = channels("square-24"), channels("paper-64")
    inputs = ClassifierInput.frequency(split, used, read, grid, policy)
    rows = np.flatnonzero(split.valid)
    codes = torch.from_numpy(split.read_codes(rows, read).copy())
    for epoch, near in ((0, 1e-4), (5, 0.25)):  # the crops that were measured, and others
        change = Augment(inputs, split.attributes.encoding, policy, 0)
        found = change(Batch(codes, codes, rows, split.sizes[rows], epoch, 0)).double()
        assert found.mean(dim=(0, 2, 3)).abs().max() < near
        assert (found.square().mean(dim=(0, 2, 3)).sqrt() - 1).abs().max() < near


def test_rejected_rows_and_wrong_steps_are_refused(images):
    made = batch(images, [0, 1])
    rejected = Batch(made.codes, made.labels, made.rows, made.sizes * [[1], [0]], 0, 0)
    with pytest.raises(UsageError, match="image 1 of the batch has no pixels"):
        augment("rgb")(rejected)
    with pytest.raises(UsageError, match="64 channels"):
        Resampler(READ, np.ones(3, np.float32), GRID, None)
