"""Stored masks are read as COCO's own code reads them; what it must not see is refused."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from freqprep.errors import CorruptStoreError
from freqprep.images.rle import decode_mask, run_lengths

repeatable = settings(derandomize=True, deadline=None, max_examples=200)

sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))


def encoded(mask: np.ndarray) -> bytes:
    return bytes(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"])


def by_coco(counts: bytes, size: tuple[int, int]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools' own, of numpy
        return coco_mask.decode({"size": list(size), "counts": counts})


@repeatable
@given(sizes, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_masks_come_back(size, seed, share):
    mask = np.random.default_rng(seed).random(size) < share
    found = decode_mask(encoded(mask), size)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


@repeatable
@given(st.lists(st.floats(-20, 700), min_size=6, max_size=24).filter(lambda p: len(p) % 2 == 0))
def test_outlines_are_those_of_coco(outline):
    size = (480, 640)
    counts = coco_mask.frPyObjects([outline], *size)[0]["counts"]
    np.testing.assert_array_equal(decode_mask(counts, size), by_coco(counts, size))


@pytest.mark.parametrize("runs", [[0, 100_000_000], [99_999_999, 1], [9_999_999, 90_000_000, 1]])
def test_long_runs_keep_their_lengths(runs):
    size = (10_000, 10_000)
    counts = coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size)["counts"]
    assert run_lengths(counts, 10**8).tolist() == runs


MASK = np.zeros((40, 56), bool)
MASK[3:30, 4:33] = MASK[35:, 50:] = True
COUNTS = encoded(MASK)
HUGE = b"o" * 11 + b"?"  # 2**59 - 1


@pytest.mark.parametrize("size", [(40, 55), (39, 56), (1, 1), (0, 0), (10_000, 10_000)])
def test_masks_of_another_size_are_refused_by_name(size):
    assert decode_mask(COUNTS, (40, 56)).sum() == MASK.sum()
    with pytest.raises(CorruptStoreError, match=f"no mask of {size[0]}x{size[1]} pixels"):
        decode_mask(COUNTS, size)


@pytest.mark.parametrize(
    "counts",
    [
        *(b"", b"0", b"\0", b"\xff" * 9, b"o", b"o" * 100_000, b"text", b"p"),
        *(COUNTS + b"0\n", COUNTS[:-1], COUNTS + b"o", COUNTS[1:], b"O" + COUNTS),
        *(HUGE, HUGE + b"1" + HUGE, b"0" + HUGE * 33, b"000" + HUGE * 40, b"`" * 60 + b"0"),
    ],
    ids=lambda counts: repr(counts[:20]),
)
def test_damaged_counts_are_refused(counts):
    with pytest.raises(CorruptStoreError, match="no mask of 40x56 pixels"):
        decode_mask(counts, (40, 56))


@settings(repeatable, max_examples=500)
@given(st.binary(max_size=8), st.integers(0, len(COUNTS)), st.integers(0, 6))
def test_what_is_accepted_is_a_mask_as_coco_reads_it(noise, at, keep):
    damaged = COUNTS[:at] + noise + COUNTS[at + keep :]
    runs = run_lengths(damaged, MASK.size)
    if runs is None:
        return
    assert (runs >= 0).all() and runs.sum() == MASK.size
    np.testing.assert_array_equal(decode_mask(damaged, MASK.shape), by_coco(damaged, MASK.shape))
