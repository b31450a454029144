"""Descriptions of inputs and augmentation: through JSON and back, and whatever is wrong named."""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

import freqprep
from freqprep.augment import ClassifierInput, Policy
from freqprep.errors import UsageError
from freqprep.spectrum.channels import NAMES, channels

FREQUENCY = ClassifierInput(
    kind="frequency",
    read=("y_0_0", "y_0_1"),
    channels=("y_0_1",),
    side=16,
    resize=18,
    mean=(0.5,),
    std=(2.0,),
)
RGB = ClassifierInput(
    kind="rgb",
    read=NAMES,
    channels=(),
    side=33,
    resize=40,
    mean=(1.0, 2.0, 3.0),
    std=(4.0, 5.0, 6.0),
)
MANY = [float(i) for i in range(200)]


def through_json(document: object) -> object:
    return json.loads(json.dumps(document))


def test_the_order_of_fields_in_files_stays():
    """A checkpoint has a hash over it."""
    fields = ["kind", "read", "channels", "side", "resize", "mean", "std"]
    assert list(FREQUENCY.to_dict()) == fields


@pytest.mark.parametrize("inputs", [FREQUENCY, RGB])
def test_inputs_come_back_from_json(inputs):
    assert ClassifierInput.from_dict(through_json(inputs.to_dict())) == inputs


unit = st.floats(0, 1)


@given(st.tuples(st.floats(0.01, 0.5), st.floats(0.5, 1)), unit, unit, unit, st.booleans())
def test_a_policy_comes_back_from_json(scale, flip, contrast, grey, aligned):
    policy = Policy(scale=scale, flip=flip, contrast=contrast, grey=grey, aligned=aligned)
    assert Policy.from_dict(through_json(policy.to_dict())) == policy


def test_shapes():
    assert FREQUENCY.shape == (1, 2, 2)
    assert RGB.shape == (3, 33, 33)


def test_frequency_describes_what_is_asked_and_measures_the_same_each_time(store):
    split = freqprep.open_store(store)["train"]
    used, read = channels("square-24"), channels("paper-64")
    inputs = ClassifierInput.frequency(split, used, read, 7)
    assert inputs.shape == (24, 7, 7) and inputs.resize == 64 and inputs.read == read.names
    assert inputs.used_selection.names == used.names
    assert inputs.read_selection.indices == read.indices
    assert ClassifierInput.frequency(split, used, read, 7, Policy()) == inputs
    assert ClassifierInput.frequency(split, used, read, 7, Policy(scale=(0.5, 1))) != inputs


def test_an_input_fits_what_it_was_made_of(store):
    split = freqprep.open_store(store)["train"]
    six, read = channels("paper-6"), channels("square-24")
    inputs = ClassifierInput.frequency(split, six, read, 7)
    other = dataclasses.replace(inputs, mean=(0.0,) * 6)
    assert inputs.fits(split, six, read, 7) and other.fits(split, six, read, 7)
    assert not inputs.fits(split, six, read, 6)
    assert not inputs.fits(split, six, six, 7)
    assert not inputs.fits(split, read, read, 7)
    assert not ClassifierInput.rgb(split, read, 56).fits(split, six, read, 7)


def test_images_that_were_cut_to_their_centre_are_not_cut_again(crop_store):
    split = freqprep.open_store(crop_store)["train"]
    used = channels("square-24")
    assert ClassifierInput.frequency(split, used, used, 3).resize == 24
    assert ClassifierInput.rgb(split, side=20).resize == 20


def test_rgb_reads_everything_and_expects_imagenets_pixels(store):
    split = freqprep.open_store(store)["train"]
    inputs = ClassifierInput.rgb(split)
    assert inputs.read == NAMES and inputs.channels == () and inputs.shape == (3, 224, 224)
    assert inputs.resize == 256 and inputs.mean[0] == pytest.approx(123.675)
    assert ClassifierInput.rgb(split, channels("square-24"), 64).read == channels("square-24").names


def test_a_channel_that_never_changes_is_not_divided_by_zero(tmp_path):
    from synthetic import encoded, make

    folder = tmp_path / "images" / "train" / "grey"
    folder.mkdir(parents=True)
    for seed in range(3):
        picture = np.random.default_rng(seed).integers(0, 256, (24, 24), dtype=np.uint8)
        (folder / f"{seed}.png").write_bytes(encoded(picture, "PNG"))
    split = freqprep.open_store(make(tmp_path / "images", tmp_path / "x.zarr"))["train"]
    used = channels("square-24")
    inputs = ClassifierInput.frequency(split, used, used, 3)
    chroma = [place for place, index in enumerate(used.indices) if index >= 64]
    assert {inputs.std[place] for place in chroma} == {1.0}
    assert min(inputs.std) >= 1.0


def test_channels_that_are_used_but_not_read_are_named(store):
    split = freqprep.open_store(store)["train"]
    with pytest.raises(UsageError, match=r"not read: y_0_2, y_0_3, y_1_2 and 15 more; read at"):
        ClassifierInput.frequency(split, channels("square-24"), channels("paper-6"), 7)


BAD_INPUTS = {
    "kind": [("dct", "kind 'dct'"), (None, "kind None"), ([], "kind")],
    "read": [
        ("y_0_0", "not names of channels"),
        ([], "no channels are read"),
        (["y_0_1", "y_9_9"], "unknown channel or selection 'y_9_9'"),
        (["y_0_1", "y_0_1"], "asked for twice: y_0_1"),
        (["y_0_1", 7], "not names"),
        (["y_0_1"] * 10_000, "10000 names in read"),
        (["y_0_0"], "not read: y_0_1"),
    ],
    "channels": [([], "0 channels for frequency"), ({"y_0_1": 1}, "not names")],
    "side": [(0, "side 0"), (True, "side True"), (16.0, "16.0 is not"), (12, "not whole blocks"),
             (20_000, "side 20000"), (None, "side None"), ("16", "side '16'")],
    "resize": [(15, "resize 15"), (9000, "resize 9000"), (float("nan"), "resize nan")],
    "mean": [([float("nan")], "mean"), ([float("inf")], "mean"), ([], "0 values of mean"),
             (MANY, "200 values"), (0.5, "mean 0.5"), (["1"], "mean"), ([None], "mean"),
             ([10**400], "mean")],
    "std": [([0.0], "a std is not above 0"), ([-1.0], "a std"), ([1e-320], "a std"),
            ([True], "std"), ([float("nan")], "std")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [(field, *case) for field, cases in BAD_INPUTS.items() for case in cases],
)
def test_inputs_of_a_card_are_checked(field, value, message):
    document = {**FREQUENCY.to_dict(), field: value}
    with pytest.raises(UsageError, match=message) as caught:
        ClassifierInput.from_dict(document)
    assert caught.value.message.startswith("the inputs of the model config cannot be used: ")
    assert len(caught.value.message) < 400


BAD_POLICIES = [
    ("scale", [0.5, 0.1], "scale"),
    ("scale", [0, 1], "scale"),
    ("scale", [0.5, 1.5], "scale"),
    ("scale", [0.5], "scale"),
    ("scale", 0.5, "scale"),
    ("ratio", [0.5, float("nan")], "ratio"),
    ("ratio", [-1, 1], "ratio"),
    ("flip", 1.5, "flip 1.5 is not in 0..1"),
    ("flip", "0.5", "flip"),
    ("brightness", -0.1, "brightness"),
    ("contrast", float("nan"), "contrast"),
    ("saturation", None, "saturation"),
    ("grey", True, "grey"),
    ("aligned", 1, "aligned 1 is not true or false"),
]


@pytest.mark.parametrize(("field", "value", "message"), BAD_POLICIES)
def test_a_policy_of_a_card_is_checked(field, value, message):
    with pytest.raises(UsageError, match=message):
        Policy.from_dict({**Policy().to_dict(), field: value})
    value = tuple(value) if isinstance(value, list) else value
    with pytest.raises(UsageError, match=message):
        Policy(**{field: value})


@pytest.mark.parametrize("cls", [ClassifierInput, Policy])
@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"kind": "rgb"}, {1: 2}])
def test_what_is_no_description_is_refused(cls, document):
    with pytest.raises(UsageError, match="of the model config cannot be used"):
        cls.from_dict(document)


def test_fields_that_are_unknown_are_named():
    with pytest.raises(UsageError, match="missing or unknown: color"):
        Policy.from_dict({**Policy().to_dict(), "color": 1})


def test_images_that_were_cut_are_not_cut_again(store, crop_store):
    fit, crop = (freqprep.open_store(path)["val"] for path in (store, crop_store))
    six = channels("paper-6")
    inputs = ClassifierInput.frequency(fit, six, six, 7)
    assert (inputs.side, inputs.resize) == (56, 64)
    assert inputs.on(crop) == dataclasses.replace(inputs, resize=56)
    assert inputs.on(crop).on(fit) == inputs.on(fit) == inputs
