"""A transform takes the batches of the channels and steps that it was made for, and no others."""

import numpy as np
import pytest
import synthetic
import torch

import freqprep
from freqprep.augment import Augment, ClassifierInput, Policy, Preprocess
from freqprep.errors import UsageError
from freqprep.spectrum.quantization import PRECISIONS

GRID = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A split of int8 and one of compact steps, of the same images."""
    folder = tmp_path_factory.mktemp("fit")
    source = synthetic.image_folder(folder / "source", {"train": 24, "val": 24})
    path = synthetic.make(source, folder / "a.zarr", size=32, split="train")
    synthetic.make(source, path, size=32, split="val", precision=PRECISIONS["compact"])
    return freqprep.open_store(path)


def transforms(split, used="triangle-3", read="paper-6"):
    inputs = ClassifierInput.frequency(split, used, read, GRID)
    encoding = split.attributes.encoding
    return inputs, (Augment(inputs, encoding, Policy(), seed=0), Preprocess(inputs, encoding))


def only_batch(split, channels):
    return next(iter(freqprep.Loader(split, channels, batch_size=24)))


def test_a_batch_is_its_codes_and_sizes(store):
    inputs, (_, preprocess) = transforms(store["train"])
    batch = only_batch(store["train"], inputs.read_selection)
    assert batch.channels == inputs.read
    assert torch.equal(preprocess(batch), preprocess(batch.codes, batch.sizes))
    assert batch.to("cpu").channels == inputs.read
    with pytest.raises(UsageError, match="without the sizes"):
        preprocess(batch.codes)


@pytest.mark.parametrize("number", [0, 1], ids=["augment", "preprocess"])
def test_other_channels_are_refused(store, number):
    inputs, made = transforms(store["train"])
    transform, names = made[number], list(inputs.read)
    swapped = [names[1], names[0], *names[2:]]
    for channels, message in (
        (swapped, f"another order than this input reads: {names[1]} where {names[0]} is expected"),
        ([*names[:5], "y_7_7"], f"6 channels, but not these, which this input reads: {names[5]};"),
        ([*names, "y_7_7"], "7 channels, and this input does not read y_7_7"),
        (names[:5], f"5 channels, but not these, which this input reads: {names[5]};"),
    ):
        with pytest.raises(UsageError, match=message):
            transform(only_batch(store["train"], channels))
    assert transform(only_batch(store["train"], names)).isfinite().all()


@pytest.mark.parametrize("number", [0, 1], ids=["augment", "preprocess"])
def test_other_steps_are_refused(store, number):
    of_train, of_val = (transforms(store[name])[1][number] for name in ("train", "val"))
    batches = {name: only_batch(store[name], "paper-6") for name in ("train", "val")}
    for transform, fits, other in ((of_train, "train", "val"), (of_val, "val", "train")):
        transform(batches[fits])
        with pytest.raises(UsageError, match="other quantization steps than this transform"):
            transform(batches[other])
    again = freqprep.open_store(store.path)["train"]  # the same steps, not the same object
    of_train(only_batch(again, "paper-6"))


def test_a_loader_says_so_for_its_transform(store):
    _, (augment, _) = transforms(store["train"])
    with (
        freqprep.Loader(store["train"], "square-24", batch_size=8, transform=augment) as loader,
        pytest.raises(UsageError, match="this input does not read"),
    ):
        next(iter(loader))


def test_channels_are_named_as_everywhere(store):
    split = store["train"]
    by_name = ClassifierInput.frequency(split, "triangle-3", "paper-6", GRID)
    chosen = freqprep.channels("triangle-3"), freqprep.channels("paper-6")
    assert by_name == ClassifierInput.frequency(split, *chosen, GRID)
    assert ClassifierInput.frequency(split, 5, 12, GRID).read == freqprep.channels(12, split).names
    assert ClassifierInput.rgb(split, "paper-64").read == freqprep.channels("paper-64").names
    with pytest.raises(UsageError, match="paper-7"):
        ClassifierInput.frequency(split, "triangle-3", "paper-7", GRID)


@pytest.mark.parametrize("interpreted", [True, False])
@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64, "meta"], ids=str)
def test_a_programs_default_dtype_and_device_are_not_used(store, default, interpreted, monkeypatch):
    split = store["train"]
    if interpreted:
        monkeypatch.setattr("freqprep.augment.resample.can_compile", lambda: False)
    inputs, made = transforms(split)
    batch = only_batch(split, inputs.read_selection)
    pixels = Preprocess(ClassifierInput.rgb(split, side=24), split.attributes.encoding)
    everything = only_batch(split, "all")
    expected = [*(transform(batch) for transform in made), pixels(everything)]
    dtype = default if isinstance(default, torch.dtype) else torch.float32
    torch.set_default_dtype(dtype)
    if not isinstance(default, torch.dtype):
        torch.set_default_device(default)
    try:
        inputs, made = transforms(split)  # measures moments
        batch = only_batch(split, inputs.read_selection)
        pixels = Preprocess(ClassifierInput.rgb(split, side=24), split.attributes.encoding)
        found = [*(transform(batch) for transform in made), pixels(only_batch(split, "all"))]
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert batch.labels.dtype == torch.int64 and np.isfinite(batch.sizes).all()
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == "cpu" and one.dtype == torch.float32
        np.testing.assert_array_equal(one.numpy(), other.numpy())
