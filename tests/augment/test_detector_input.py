"""What detectors are fed: the published sizes, moments of enlarged images, and checked cards."""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st
from pixel_side import filled_up, from_blocks, resized, to_blocks

import freqprep
from freqprep.augment import DetectorInput, DetectorPolicy
from freqprep.errors import UsageError
from freqprep.images.geometry import LARGEST_SIZE
from freqprep.spectrum.channels import NAMES, channels

FREQUENCY = DetectorInput(
    kind="frequency",
    read=("y_0_0", "y_0_1"),
    channels=("y_0_1",),
    short=800,
    longest=1333,
    mean=(0.5,),
    std=(2.0,),
)
RGB = DetectorInput(
    kind="rgb",
    read=NAMES,
    channels=(),
    short=33,
    longest=55,
    mean=(1.0, 2.0, 3.0),
    std=(4.0, 5.0, 6.0),
)


def of_grid(grid: int) -> DetectorInput:
    """As `DetectorInput.frequency` makes them, without a split."""
    plain = DetectorInput.rgb(None, grid)
    return dataclasses.replace(FREQUENCY, short=plain.short, longest=plain.longest)


@pytest.mark.parametrize(
    ("stored", "frame"),
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((427, 640), (800, 1199)),
        ((500, 500), (800, 800)),
        ((240, 640), (500, 1333)),
        ((640, 191), (1333, 398)),
        ((1, 8000), (1, 1333)),
        ((1600, 1600), (800, 800)),
    ],
)
def test_published_frames(stored, frame):
    assert of_grid(200).frame_sizes(np.array([stored])).tolist() == [list(frame)]


def test_published_places():
    for grid, stored, places in (
        (200, (800, 1333), (200, 334)),
        (160, (480, 640), (160, 214)),
        (200, (480, 640), (200, 267)),
    ):
        inputs = of_grid(grid)
        found = inputs.grid_sizes(inputs.frame_sizes(np.array([stored])))
        assert found.tolist() == [list(places)]
    assert (FREQUENCY.stride, FREQUENCY.enlargement) == (4, 2)
    assert (RGB.stride, RGB.enlargement) == (1, 1)
    assert RGB.grid_sizes(np.array([[33, 47]])).tolist() == [[33, 47]]


lengths = st.lists(st.tuples(*[st.integers(1, LARGEST_SIZE)] * 2), min_size=1, max_size=8)


@given(lengths, st.integers(8, 512))
def test_a_side_is_met_and_the_aspect_kept(stored, grid):
    inputs, stored = of_grid(grid), np.array(stored)
    frames = inputs.frame_sizes(stored)
    assert frames.dtype == np.int64 and frames.min() >= 1
    for (height, width), (tall, wide) in zip(stored.tolist(), frames.tolist(), strict=True):
        low, high = min(tall, wide), max(tall, wide)
        assert low <= inputs.short and high <= inputs.longest
        assert low == inputs.short or high == inputs.longest
        scale = min(inputs.short / min(height, width), inputs.longest / max(height, width))
        assert abs(tall - scale * height) <= 0.5 + 1e-6 or tall == 1
        assert abs(wide - scale * width) <= 0.5 + 1e-6 or wide == 1
    height, width = inputs.canvas(frames)
    assert height % 32 == width % 32 == 0
    spare = np.array([height, width]) - frames.max(axis=0)
    assert spare.min() >= 0 and spare.max() < 32


@pytest.mark.parametrize(("inputs", "factor"), [(FREQUENCY, 2), (RGB, 1)])
def test_windows_are_resized_to_their_frames(inputs, factor):
    start, length = np.array([[3, 5], [0, 0]]), np.array([[40, 20], [30, 300]])
    windows = inputs.windows(start, length)
    frames = inputs.frame_sizes(length)
    assert (windows.start == start).all() and (windows.length == length).all()
    assert (windows.resized == factor * frames).all() and (windows.kept == windows.resized).all()
    assert not windows.offset.any()


def by_hand(split, used, read, short, longest):
    """Coefficients of the first 32 valid images at twice their frames, dense and in float64."""
    rows = np.flatnonzero(split.valid)[:32]
    coefficients = np.zeros((len(rows), 192, *split.attributes.encoding.geometry.grid))
    steps = split.steps[list(read.indices)].astype(np.float64)
    codes = split.read_codes(rows, read)
    coefficients[:, list(read.indices)] = codes * steps[:, None, None]
    inputs = DetectorInput(
        kind="frequency",
        read=read.names,
        channels=used.names,
        short=short,
        longest=longest,
        mean=(0.0,) * len(used),
        std=(1.0,) * len(used),
    )
    lengths = split.sizes[rows].astype(np.int64)
    windows = inputs.windows(np.zeros_like(lengths), lengths)
    values = []
    for image, pixels in enumerate(from_blocks(coefficients)):
        large = resized(pixels, windows, image)
        blocks = to_blocks(filled_up(large, *(-(-side // 8) * 8 for side in large.shape[1:])))
        values.append(blocks[list(used.indices)].reshape(len(used), -1))
    return np.concatenate(values, axis=1)


def test_moments_are_of_the_first_images_at_twice_their_frames(store):
    split = freqprep.open_store(store)["train"]
    used, read = channels("square-24"), channels("paper-64")
    inputs = DetectorInput.frequency(split, used, read, 8)
    assert (inputs.short, inputs.longest) == (32, 53)
    assert inputs.channels == used.names and inputs.read == read.names
    values = by_hand(split, used, read, 32, 53)
    np.testing.assert_allclose(inputs.mean, values.mean(axis=1), rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(inputs.std, values.std(axis=1), rtol=2e-5)
    assert min(inputs.std) > 0.1
    assert DetectorInput.frequency(split, used, read, 8) == inputs


def test_a_channel_that_never_changes_is_not_divided_by_zero(tmp_path):
    from synthetic import encoded, make

    folder = tmp_path / "images" / "train" / "grey"
    folder.mkdir(parents=True)
    for seed in range(3):
        picture = np.random.default_rng(seed).integers(0, 256, (24, 24), dtype=np.uint8)
        (folder / f"{seed}.png").write_bytes(encoded(picture, "PNG"))
    split = freqprep.open_store(make(tmp_path / "images", tmp_path / "grey.zarr"))["train"]
    used = channels("y_0_0,cb_0_0,cr_1_1")
    inputs = DetectorInput.frequency(split, used, used, 8)
    assert inputs.std[0] > 1 and inputs.std[1:] == (1.0, 1.0)
    assert inputs.mean[1:] == (0.0, 0.0)


def test_rgb_reads_everything_and_expects_imagenets_pixels():
    inputs = DetectorInput.rgb(None, 200)
    assert inputs.read == NAMES and inputs.channels == () and inputs.planes == 3
    assert (inputs.short, inputs.longest) == (800, 1333)
    assert inputs.mean[0] == pytest.approx(123.675) and inputs.std[2] == pytest.approx(57.375)
    assert DetectorInput.rgb(channels("square-24"), 8).read == channels("square-24").names


def test_the_order_of_fields_in_files_stays():
    """A checkpoint has a hash over it."""
    fields = ["kind", "read", "channels", "short", "longest", "mean", "std"]
    assert list(FREQUENCY.to_dict()) == fields


@pytest.mark.parametrize("inputs", [FREQUENCY, RGB])
def test_frames_come_back_from_json(inputs):
    assert DetectorInput.from_dict(json.loads(json.dumps(inputs.to_dict()))) == inputs


WRONG = [
    ({"kind": "sound"}, "kind 'sound' is neither"),
    ({"read": ()}, "no channels are read"),
    ({"read": ("y_0_1", "y_9_9")}, "y_9_9"),
    ({"read": ("y_0_1", "y_0_1")}, "y_0_1"),
    ({"read": 5}, "read 5 is not names of channels"),
    ({"channels": ("y_7_7",)}, "used that are not read: y_7_7"),
    ({"channels": ()}, "0 channels for frequency"),
    ({"kind": "rgb"}, "1 channel for rgb"),
    ({"short": 8.0}, "short 8.0 is not a whole number"),
    ({"longest": True}, "longest True is not a whole number"),
    ({"longest": "1333"}, "longest '1333' is not a whole number"),
    ({"short": 0}, "short 0 and longest 1333 are not rising from 1 to 8192"),
    ({"short": 1334}, "short 1334 and longest 1333"),
    ({"longest": 8193}, "longest 8193"),
    ({"mean": (1.0, 2.0)}, "2 values of mean, not 1"),
    ({"mean": (float("nan"),)}, "mean .* is not finite numbers"),
    ({"std": (0.0,)}, "a std is not above 0"),
    ({"std": ("1",)}, "std .* is not finite numbers"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_what_is_wrong_is_named(changes, words):
    with pytest.raises(UsageError, match=words):
        dataclasses.replace(FREQUENCY, **changes)
    document = {**FREQUENCY.to_dict(), **changes}
    with pytest.raises(UsageError, match=f"inputs of the model config cannot be used: .*{words}"):
        DetectorInput.from_dict(document)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "list in place of an object"),
        ({}, "missing or unknown: .*channels"),
        ({**FREQUENCY.to_dict(), "side": 3}, "missing or unknown: side"),
        ({k: v for k, v in RGB.to_dict().items() if k != "short"}, "missing or unknown: short"),
    ],
)
def test_what_is_no_description_is_refused(document, words):
    with pytest.raises(UsageError, match=words):
        DetectorInput.from_dict(document)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"flip": 1.1}, r"flip 1\.1 is not in 0\.\.1"),
        ({"flip": -0.1}, "flip"),
        ({"flip": True}, "flip True"),
        ({"flip": float("nan")}, "flip nan"),
        ({"smallest_crop": 0}, "smallest_crop 0 is not above 0, up to 1"),
        ({"smallest_crop": 1.5}, "smallest_crop"),
        ({"smallest_crop": "1"}, "smallest_crop '1'"),
    ],
)
def test_a_policy_refuses_what_is_wrong(values, words):
    with pytest.raises(UsageError, match=words):
        DetectorPolicy(**values)
    assert DetectorPolicy().to_dict() == {"flip": 0.5, "smallest_crop": 1.0}
