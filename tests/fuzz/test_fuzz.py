"""Hostile files of every kind, a short campaign each; ``make fuzz`` runs minutes of them."""

import random

import numpy as np
import pytest
from fuzz.campaign import TARGETS, Worker, campaign
from fuzz.images import compare
from fuzz.mutation import mutant, mutant_document
from hypothesis import given
from hypothesis import strategies as st
from synthetic import encoded, pixels

from freqprep.images.decode import decode

MUTANTS = dict.fromkeys(("coco", "webdataset", "imagenet", "parquet", "stores", "plans"), 40)
NEED = {"parquet": "pyarrow"} | dict.fromkeys(("model cards", "checkpoints", "weights"), "torch")


@pytest.fixture(scope="module")
def worker():
    """One process for all targets: to start takes as long as some hundred mutants."""
    with Worker() as process:
        yield process


@pytest.mark.parametrize("target", TARGETS)
def test_a_mutant_is_a_result_a_reject_or_a_named_error(target, worker):
    if target in NEED:
        pytest.importorskip(NEED[target])
    worker.target = target
    outcome = campaign(worker, range(MUTANTS.get(target, 100)))
    assert outcome.findings == {}
    assert len(outcome.became) > 1  # not all fail for one reason


PLANTED = {
    "planted crash": "crash",
    "planted error": "KeyError at worker.py",
    "planted filling": "MemoryError at worker.py",
}


@pytest.mark.parametrize("target", PLANTED)
def test_a_planted_fault_is_a_finding_and_the_next_mutant_is_made(target, worker):
    worker.target = target
    outcome = campaign(worker, range(2))
    (finding,) = outcome.findings
    assert finding.startswith(PLANTED[target]) and outcome.executions == 2


def test_a_planted_hang_is_a_finding(worker):
    worker.target = "planted error"
    assert worker.answer(0)["finding"]  # it has started
    worker.target = "planted hang"
    assert worker.answer(0)["finding"] is None  # the first one is not one
    assert worker.answer(1, seconds=1)["finding"] == "hang"
    worker.target = "planted error"
    assert "KeyError" in worker.answer(0)["finding"]


@given(st.binary(max_size=300), st.integers(0, 2**32))
def test_mutants_are_functions_of_their_seed(data, seed):
    first, again = (mutant(data, random.Random(seed)) for _ in range(2))
    assert first == again
    document = {"a": [1, {"b": None}], "c": list(data[:5])}
    first, again = (mutant_document(document, random.Random(seed)) for _ in range(2))
    assert repr(first) == repr(again) and document["a"] == [1, {"b": None}]


def test_other_pixels_than_opencv_has_are_seen():
    pytest.importorskip("cv2")
    data = encoded(pixels(5, 40, 50), "PNG")
    ours = decode(data).rgb()
    assert compare(data, ours) == "accepted, as by OpenCV"
    with pytest.raises(AssertionError, match="differ"):
        compare(data, np.roll(ours, 9, axis=0))
    with pytest.raises(AssertionError, match="pixels, of OpenCV"):
        compare(data, ours[1:])
