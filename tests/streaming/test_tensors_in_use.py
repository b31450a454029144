"""Every tensor on a device that a batch holds is found: its memory is told to be in use there."""

import dataclasses
from typing import Any

import numpy as np
import torch

from freqprep import Batch
from freqprep.streaming.delivery import _tensors_of


class OnDevice(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@dataclasses.dataclass
class Record:
    images: Any
    others: Any


def made(*shape: int) -> torch.Tensor:
    return torch.ones(shape).as_subclass(OnDevice)


def found_in(value: object) -> set[int]:
    return {id(tensor) for tensor in _tensors_of(value)}


def test_coefficients_count_once_they_are_there():
    batch = Batch(made(2, 3, 1, 1), made(2), np.arange(2), np.ones((2, 2)), 0, 0, made(3))
    before = found_in(batch)
    assert before == {id(batch.codes), id(batch.labels), id(batch.quantization_steps)}
    coefficients = batch.coefficients  # computed by a transform, which does not return it
    assert found_in(batch) == before | {id(coefficients)}


def test_results_of_transforms():
    one, two, three, four = (made(1) for _ in range(4))
    assert found_in(Record([one, (two,)], {"a": three, "b": Record(four, None)})) == {
        id(tensor) for tensor in (one, two, three, four)
    }
    assert found_in([torch.ones(1), "text", 1]) == set()
