"""A loader's transform: its result comes with its batch, and nothing else changes."""

import pickle

import numpy as np
import pytest
import torch

import freqprep
from freqprep.augment import Augment, ClassifierInput, Policy
from freqprep.errors import UsageError
from freqprep.spectrum.channels import channels


def means(batch) -> torch.Tensor:
    return batch.codes.float().mean(dim=(1, 2, 3))


@pytest.fixture(scope="module")
def split(crop_store):
    return freqprep.open_store(crop_store)["train"]


def loader(split, transform=None, **options) -> freqprep.Loader:
    return freqprep.Loader(split, "square-24", batch_size=8, transform=transform, **options)


@pytest.mark.parametrize("reuse", [False, True])
def test_inputs_are_the_transform_of_their_own_batch(split, reuse):
    with loader(split, means, reuse=reuse) as batches, loader(split) as plain:
        for batch, other in zip(batches, plain, strict=True):
            np.testing.assert_array_equal(batch.rows, other.rows)
            assert torch.equal(batch.inputs, means(other)) and other.inputs is None


def test_augmented_by_the_loader_as_by_the_loop(split):
    used = channels("square-24")
    inputs = ClassifierInput.frequency(split, used, used, 3)
    augment = Augment(inputs, split.attributes.encoding, Policy(), 0)
    with loader(split, augment) as batches, loader(split) as plain:
        for _ in range(2):
            for batch, other in zip(batches, plain, strict=True):
                assert torch.equal(batch.inputs, augment(other))


def test_what_was_made_ahead_does_not_count(split):
    with loader(split, means) as first:
        it = iter(first)
        given = [next(it) for _ in range(2)]
        state = first.state_dict()
        assert state["step"] == 2 and given[1].step == 1
        rest = [batch.rows for batch in it]
    with loader(split, means) as second:
        second.load_state_dict(state)
        again = list(second)
    assert [batch.step for batch in again] == list(range(2, len(first)))
    for rows, batch in zip(rest, again, strict=True):
        np.testing.assert_array_equal(batch.rows, rows)


def test_an_error_of_the_transform_passes_through_and_the_batch_is_not_counted(split):
    def fails(batch):
        if batch.step == 1:
            raise UsageError("not this one")
        return None

    with loader(split, fails) as batches:
        with pytest.raises(UsageError, match="not this one"):
            list(batches)
        assert batches.step == 1


def test_another_process_and_another_device_get_the_transform_too(split):
    with loader(split, means) as batches, pickle.loads(pickle.dumps(batches)) as copy:
        batch, other = next(iter(batches)), next(iter(copy))
        assert torch.equal(batch.inputs, other.inputs)
        assert batch.to("meta").inputs.device.type == "meta"
        assert batch.to("cpu").inputs is batch.inputs
