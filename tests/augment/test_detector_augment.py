"""A detector's input equals the same on pixels, and its objects stay on what they outline."""

import dataclasses

import numpy as np
import pytest
import torch
from objects_by_hand import around, blob, table
from pixel_side import Stored, filled_up, from_blocks, resized, to_blocks
from synthetic import encoded, pixels

from freqprep.augment import (
    DetectorAugment,
    DetectorInput,
    DetectorPolicy,
    DetectorPreprocess,
    Resampler,
)
from freqprep.errors import UsageError
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import channels
from freqprep.spectrum.color import ycbcr_to_rgb
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.streaming.batch import Batch

GRID = (8, 8)
ENCODING = Encoding(
    Geometry("fit", 64, None, "apply"), PRECISIONS["int16"]
)  # of that grid; all steps are 1
READ = channels("paper-64")
KINDS = ["frequency", "rgb"]
SIZES = [(48, 64), (64, 48), (64, 64), (20, 60), (61, 8), (33, 41), (1, 30), (57, 64)]
CLOSE = {"frequency": 5e-3, "rgb": 2e-3}  # of coefficients up to 2000, and grey levels


def frames_of(kind: str, short: int = 40, longest: int = 67) -> DetectorInput:
    if kind == "rgb":
        return DetectorInput(
            kind="rgb",
            read=READ.names,
            channels=(),
            short=short,
            longest=longest,
            mean=(120.0, 110.0, 90.0),
            std=(60.0,) * 3,
        )
    used = channels("square-24")
    mean = tuple(np.linspace(-9, 9, 24).tolist())
    return DetectorInput(
        kind="frequency",
        read=READ.names,
        channels=used.names,
        short=short,
        longest=longest,
        mean=mean,
        std=(50.0,) * 24,
    )


@pytest.fixture(scope="module")
def images() -> list[Stored]:
    files = [encoded(pixels(seed, *size), "PNG") for seed, size in enumerate(SIZES)]
    return [Stored.of(data, "int16", 64) for data in files]


def batch(images: list[Stored], rows: list[int], epoch: int = 0) -> Batch:
    codes = np.stack([images[row].codes[list(READ.indices)] for row in rows])
    sizes = np.array([images[row].size for row in rows], np.int32)
    labels = torch.full((len(rows),), -1)
    return Batch(torch.from_numpy(codes), labels, np.array(rows), sizes, epoch, 0)


def on_pixels(inputs: DetectorInput, codes, start, length, flip) -> tuple[list, list]:
    """Of each image its frame and its normalised input, dense and in float64."""
    coefficients = np.zeros((len(codes), 192, *GRID))
    coefficients[:, list(READ.indices)] = codes.numpy()
    windows = inputs.windows(start, length)
    mean, std = (np.array(values)[:, None, None] for values in (inputs.mean, inputs.std))
    frames, out = inputs.frame_sizes(length), []
    for image, stored in enumerate(from_blocks(coefficients)):
        one = resized(stored, windows, image)
        assert one.shape[1:] == tuple(inputs.enlargement * frames[image])
        one = one[..., ::-1] if flip[image] else one
        if inputs.kind == "rgb":
            one = np.moveaxis(ycbcr_to_rgb(np.moveaxis(one, 0, 2) + 128), 2, 0).clip(0, 255)
        else:
            whole = (-(-side // 8) * 8 for side in one.shape[1:])
            one = to_blocks(filled_up(one, *whole))[list(inputs.used_selection.indices)]
        out.append((one - mean) / std)
    return frames.tolist(), out


def assert_equal_on_pixels(framed, inputs, codes, start, length, flip):
    frames, expected = on_pixels(inputs, codes, start, length, flip)
    assert [list(size) for size in framed.sizes] == frames
    rows, columns = framed.images.shape[2:]
    assert rows * inputs.stride % 32 == columns * inputs.stride % 32 == 0
    for found, one in zip(framed.images, expected, strict=True):
        whole = np.zeros((len(one), rows, columns))  # zero beyond, after normalising
        whole[:, : one.shape[1], : one.shape[2]] = one
        difference = np.abs(found.numpy() - whole).max() * min(inputs.std)
        assert difference < CLOSE[inputs.kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("short", [40, 45])
def test_evaluation_sees_whole_images_as_pixels_would_give_them(images, kind, short):
    inputs = frames_of(kind, short)
    made = batch(images, list(range(len(images))))
    framed = DetectorPreprocess(inputs, ENCODING)(made.codes, made.sizes)
    sizes = made.sizes.astype(np.int64)
    start, flip = np.zeros_like(sizes), np.zeros(len(sizes), bool)
    assert framed.targets == [] and framed.images.dtype == torch.float32
    assert_equal_on_pixels(framed, inputs, made.codes, start, sizes, flip)


def augment(kind, objects=None, policy=None, seed=0, masks=True) -> DetectorAugment:
    objects = table(*[[]] * len(SIZES)) if objects is None else objects
    policy = DetectorPolicy(smallest_crop=0.3) if policy is None else policy
    return DetectorAugment(frames_of(kind), ENCODING, policy, seed, objects, masks)


@pytest.mark.parametrize("kind", KINDS)
def test_training_sees_crops_as_pixels_would_give_them(images, kind):
    for epoch in range(3):
        made, change = batch(images, list(range(len(images))), epoch), augment(kind)
        choices = change._choices(made)
        assert_equal_on_pixels(change(made), change.inputs, made.codes, *choices)


def test_choices_are_within_the_policy_and_as_often_as_asked():
    n = 4000
    sizes = np.tile([[40, 64]], (n, 1))
    nothing = torch.zeros((n, 0))
    made = Batch(nothing, nothing, np.arange(n), sizes, 5, 0)
    change = augment("rgb", policy=DetectorPolicy(flip=0.3, smallest_crop=0.5))
    start, length, flip = change._choices(made)
    assert ((length >= sizes // 2) & (length <= sizes) & (start >= 0)).all()
    assert (start + length <= sizes).all()
    shares = length / sizes
    assert (np.abs(shares.mean(axis=0) - 0.75) < 0.01).all()
    assert np.abs(np.corrcoef(shares.T)[0, 1]) < 0.06
    spare = sizes - length
    places = (start / np.maximum(spare, 1))[(spare > 8).all(axis=1)]
    assert (np.abs(places.mean(axis=0) - 0.5) < 0.02).all()
    assert abs(flip.mean() - 0.3) < 0.03
    start, length, flip = augment("rgb", policy=DetectorPolicy(flip=0.0))._choices(made)
    assert (length == sizes).all() and not start.any() and not flip.any()
    assert augment("rgb", policy=DetectorPolicy(flip=1.0))._choices(made)[2].all()


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(7)
    return table(
        *[
            [(around(mask), 1, bool(i % 2), mask) for i in range(3) for mask in [blob(rng, *size)]]
            for size in SIZES
        ]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_in_any_batch(images, objects, kind):
    change = augment(kind, objects)
    together = change(batch(images, list(range(len(images)))))
    for rows in ([3], [7, 3, 0], [5, 3, 1, 6, 4]):
        found = change(batch(images, rows))
        for image, row in enumerate(rows):
            assert found.sizes[image] == together.sizes[row]
            mine, other = found.targets[image], together.targets[row]
            assert mine.keys() == other.keys()
            assert all(torch.equal(mine[name], other[name]) for name in mine)
            height, width = (int(n) for n in change.inputs.grid_sizes(np.array(found.sizes[image])))
            one, two = found.images[image], together.images[row]
            assert (one - two[:, : one.shape[1], : one.shape[2]])[
                :, :height, :width
            ].abs().max() < (1e-4)


def test_epochs_and_seeds_differ_and_nothing_else_does(images, objects):
    made = batch(images, list(range(len(images))))
    first, again = augment("rgb", objects)(made), augment("rgb", objects)(made)
    assert torch.equal(first.images, again.images)
    later = augment("rgb", objects)(dataclasses.replace(made, epoch=1))
    other = augment("rgb", objects, seed=1)(made)
    assert first.sizes != later.sizes and first.sizes != other.sizes


def painted(mask: np.ndarray) -> Stored:
    """White where the mask is, on black."""
    return Stored.of(
        encoded(np.repeat(np.uint8(255) * mask[..., None], 3, axis=2), "PNG"), "int16", 64
    )


def test_boxes_and_masks_stay_on_the_pixels_they_outline():
    """Seen in the pixels themselves: where they are bright after cropping, resizing, mirroring."""
    rng = np.random.default_rng(3)
    masks = []
    for height, width in SIZES[:4] * 3:
        mask = np.zeros((height, width), bool)
        top, left = rng.integers(0, height - 9), rng.integers(0, width - 9)
        mask[top : top + rng.integers(8, height), left : left + rng.integers(8, width)] = True
        masks.append(mask)
    everything = channels("all")
    inputs = DetectorInput(
        kind="rgb",
        read=everything.names,
        channels=(),
        short=96,
        longest=160,
        mean=(127.5,) * 3,
        std=(1.0,) * 3,
    )
    stored = [painted(mask) for mask in masks]
    codes = torch.from_numpy(np.stack([one.codes for one in stored]))
    sizes = np.array([mask.shape for mask in masks])
    objects = table(*[[(around(mask), 0, False, mask)] for mask in masks])
    policy = DetectorPolicy(smallest_crop=0.4)
    change = DetectorAugment(inputs, ENCODING, policy, 0, objects, True)
    seen = 0
    for epoch in range(4):
        made = Batch(codes, codes, np.arange(len(masks)), sizes, epoch, 0)
        framed = change(made)
        for image, (height, width), target in zip(
            framed.images, framed.sizes, framed.targets, strict=True
        ):
            bright = image[1, :height, :width].numpy() > 0
            if not len(target["boxes"]):
                assert not bright[1:-1, 1:-1].any()
                continue
            seen += 1
            left, top, wide, tall = around(bright)
            where = np.array([left, top, left + wide, top + tall])
            assert np.abs(target["boxes"][0].numpy() - where).max() <= 1
            mask = target["masks"][0].numpy().astype(bool)
            assert mask.shape == bright.shape
            # Along an edge a pixel may be on either side.
            assert (mask != bright).sum() <= 2 * (wide + tall)
    assert seen > 30


def test_rejected_rows_and_wrong_steps_are_refused(images):
    made = batch(images, [0, 1])
    rejected = dataclasses.replace(made, sizes=made.sizes * [[1], [0]])
    with pytest.raises(UsageError, match="image 1 of the batch has no pixels"):
        augment("rgb")(rejected)
    preprocess = DetectorPreprocess(frames_of("rgb"), ENCODING)
    with pytest.raises(UsageError, match="image 1 of the batch has no pixels"):
        preprocess(rejected.codes, rejected.sizes)
    with pytest.raises(UsageError, match="3 steps for 64 channels"):
        Resampler(READ, np.ones(3, np.float32), GRID, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_callers_autocast_changes_nothing(kind, images):
    change = augment(kind)
    made = batch(images, [0, 1])
    with torch.autocast("cpu", torch.bfloat16):
        found = change(made).images
    assert found.dtype == torch.float32 and torch.equal(found, change(made).images)


@pytest.mark.parametrize("kind", KINDS)
def test_no_images_are_an_empty_canvas(kind):
    inputs = frames_of(kind)
    preprocess = DetectorPreprocess(inputs, ENCODING)
    codes = torch.zeros((0, len(READ), *GRID), dtype=torch.int16)
    framed = preprocess(codes, np.zeros((0, 2), np.int32))
    side = 32 // inputs.stride
    assert framed.images.shape == (0, inputs.planes, side, side) and framed.sizes == []
