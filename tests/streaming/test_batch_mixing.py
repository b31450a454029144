"""Mixing of classes: counted against a random order, and good although a source is sorted."""

import itertools

import numpy as np
import pytest
import synthetic

import freqprep
from freqprep.store.class_mixing import class_mixing, expected_classes, mixing_of_shards
from freqprep.store.row_order import PermutedRuns, permutation
from freqprep.streaming.batch_mixing import batch_mixing, mixing_of_batches
from freqprep.streaming.shuffling import ShufflePlan, choose_plan

CLASSES, ROWS = 1000, 100_000
SORTED = np.repeat(np.arange(CLASSES), ROWS // CLASSES)
SHARDS = [np.arange(begin, begin + 128) for begin in range(0, ROWS - 128, 128)]
GIVEN = np.ones(ROWS, bool)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_expectation_is_the_mean_over_all_samples(rows):
    labels = [0, 0, 0, 1, 1, 2, 4]
    samples = list(itertools.combinations(labels, rows))
    mean = np.mean([len(set(sample)) for sample in samples])
    assert expected_classes(np.bincount(labels), rows) == pytest.approx(mean)


def test_rows_without_a_label_do_not_count():
    labels = np.array([0, 1, -1, -1, 2, 2])
    found = class_mixing(labels, [np.arange(3), np.arange(3, 6), np.arange(2, 4)])
    assert (found.groups, found.rows, found.classes) == (2, 2, 1.5)
    assert found.random_classes == pytest.approx(2 - 1 / 6)
    assert class_mixing(np.full(5, -1), [np.arange(5)]) is None


def test_a_permutation_is_a_random_order_and_a_sorted_source_is_not():
    mixed = class_mixing(SORTED[permutation(ROWS, 0)], SHARDS)
    assert mixed.classes == pytest.approx(mixed.random_classes, rel=0.005)
    assert class_mixing(SORTED, SHARDS).classes < 3


@pytest.mark.parametrize(
    ("plan", "least"),
    [
        (choose_plan(ROWS // 128, 33_600_000, 2**30), 0.95),
        (choose_plan(ROWS // 128, 1, 2**30), 0.999),
        (ShufflePlan("lanes", 16, 2.0), 0.95),
    ],
    ids=["by default", "all in memory", "in little memory"],
)
def test_batches_of_a_class_sorted_source_in_row_groups_are_well_mixed(plan, least):
    """A thousand classes one after the other, in row groups of 100: of one class each."""
    labels = SORTED[PermutedRuns(np.full(ROWS // 100, 100), 0).take(range(ROWS))]
    found = batch_mixing(labels, GIVEN, plan)
    assert found.rows == 256 and found.groups == 256
    assert found.classes >= least * found.random_classes
    in_shards = class_mixing(labels, SHARDS)
    assert in_shards.classes < 0.8 * in_shards.random_classes  # of the classes of some runs only


def test_a_store_says_how_well_it_is_mixed(store):
    split = freqprep.open_store(store)["train"]
    shards, batches = mixing_of_shards(split), mixing_of_batches(split)
    assert (shards.groups, shards.classes) == (2, 3) and batches is None  # of fewer than 256
    document = synthetic.freqprep_json("info", store)["splits"]["train"]
    assert document["shard_classes"]["classes"] == 3 and document["batch_classes"] is None
