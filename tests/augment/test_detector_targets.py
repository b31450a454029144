"""Objects move as torchvision moves them, masks as by hand; what is left of them is told."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objects_by_hand import around, blob, table

from freqprep.augment.detector_targets import Move, targets_of
from freqprep.errors import CorruptStoreError
from freqprep.models.torchvision_ops import import_torchvision

import_torchvision()
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms.v2 import functional  # noqa: E402

CPU = torch.device("cpu")


def moved_masks(move: Move, masks: np.ndarray) -> np.ndarray:
    down, across = move.sources()
    return masks[:, down][:, :, across]


@st.composite
def moves(draw):
    """Size of a stored image, and what becomes of it."""
    size = draw(st.tuples(*[st.integers(1, 60)] * 2))
    length = tuple(draw(st.integers(1, side)) for side in size)
    start = tuple(
        draw(st.integers(0, side - part)) for side, part in zip(size, length, strict=True)
    )
    frame = draw(st.tuples(*[st.integers(1, 90)] * 2))
    return size, Move(start, length, frame, draw(st.booleans()))


def targets(objects, size, move, row=0, masks=True):
    return targets_of(objects, row, size, move, masks, CPU)


@given(moves(), st.integers(0, 10**6))
def test_boxes_move_as_torchvision_moves_them(moved, seed):
    size, move = moved
    rng = np.random.default_rng(seed)
    # Within the image: torchvision cuts what is not. It counts in float32.
    corners = np.sort(rng.uniform(0, 1, (6, 2, 2)), axis=1) * [size[1], size[0]]
    boxes = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
    theirs = tv_tensors.BoundingBoxes(
        torch.from_numpy(corners.reshape(-1, 4)), format="XYXY", canvas_size=size
    )
    theirs = functional.resized_crop(theirs, *move.start, *move.length, list(move.frame))
    if move.flip:
        theirs = functional.horizontal_flip(theirs)
    height, width = move.frame
    assert theirs.canvas_size == move.frame
    expected = theirs.numpy()
    found = np.clip(move.boxes(boxes), 0, [width, height, width, height])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    objects = table([(box, 0, False, None) for box in boxes])
    left = targets(objects, size, move, masks=False)["boxes"]
    sides = expected[:, 2:] - expected[:, :2]
    if np.abs(sides - 1).min() > 1e-4:
        large = expected[(sides >= 1).all(axis=1)].astype(np.float32)
        torch.testing.assert_close(left, torch.from_numpy(large).reshape(-1, 4), atol=1e-4, rtol=0)


@given(moves(), st.integers(0, 10**6))
def test_masks_take_the_nearest_stored_pixel(moved, seed):
    size, move = moved
    rng = np.random.default_rng(seed)
    masks = rng.random((3, *size)) < 0.5
    found = moved_masks(move, masks.astype(np.uint8))
    assert found.shape == (3, *move.frame) and found.dtype == np.uint8
    (top, left), (tall, wide), (height, width) = move.start, move.length, move.frame
    for row in range(height):
        down = top + (2 * row + 1) * tall // (2 * height)  # whole numbers: exact
        for column in range(width):
            place = width - 1 - column if move.flip else column
            right = left + (2 * place + 1) * wide // (2 * width)
            assert (found[:, row, column] == masks[:, down, right]).all()


@given(moves(), st.integers(0, 10**6))
def test_stored_masks_come_along_with_their_boxes(moved, seed):
    size, move = moved
    rng = np.random.default_rng(seed)
    masks = [blob(rng, *size) for _ in range(5)]
    objects = table([], [(around(m), i, False, m) for i, m in enumerate(masks)], [])
    found = targets(objects, size, move, row=1)
    kept = found["labels"] - 1
    whole = torch.from_numpy(moved_masks(move, np.stack(masks).astype(np.uint8)))
    assert torch.equal(found["masks"], whole[kept])
    for box, mask in zip(found["boxes"].tolist(), found["masks"].numpy(), strict=True):
        if not mask.any():
            continue
        left, top, width, height = around(mask)
        inside = (left - box[0], top - box[1], box[2] - left - width, box[3] - top - height)
        # As an image of larger pixels is made smaller, its centres may miss some.
        assert min(inside) >= -0.5 - 1e-5
    for row in (0, 2):
        assert targets(objects, size, move, row=row)["boxes"].shape == (0, 4)


def test_what_is_left_of_a_crop_is_a_target_from_a_pixel_on():
    objects = table(
        [
            ([0, 0, 11, 10], 0, False, None),  # one pixel of it
            ([0, 0, 10.9, 10], 1, False, None),  # less
            ([30, 30, 10, 10], 2, True, None),  # none
            ([12, 12, 5, 0], 3, False, None),  # no area
            ([12, 12, 0, 5], 4, False, None),
            ([12, 2, 3, 20], 5, True, None),
            ([-50, -50, 200, 200], 6, False, None),  # reaches beyond the image
            ([10, 19.5, 10, 20], 7, False, None),
        ]
    )
    move = Move((0, 10), (20, 10), (20, 10), False)
    found = targets(objects, (40, 40), move)
    assert found["boxes"].tolist() == [[0, 0, 1, 10], [2, 2, 5, 20], [0, 0, 10, 20]]
    assert found["labels"].tolist() == [1, 6, 7]
    assert found["iscrowd"].tolist() == [False, True, False]
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "boxes": torch.float32,
        "labels": torch.int64,
        "iscrowd": torch.bool,
        "masks": torch.uint8,
    }
    twice = targets(objects, (40, 40), Move((0, 10), (20, 10), (40, 20), False))
    assert twice["labels"].tolist() == [1, 2, 6, 7, 8]  # a pixel of the frame


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ([3, 2, 4, 5], (2, 7), (3, 7)),
        ([2.6, 2.4, 4, 5], (2, 7), (3, 7)),
        ([-3, -2, 6, 6], (0, 4), (0, 3)),
        ([8, 6, 100, 100], (6, 9), (8, 12)),
    ],
)
def test_an_object_without_a_mask_gets_its_box(box, rows, columns):
    mask = targets(table([(box, 0, False, None)]), (9, 12), Move((0, 0), (9, 12), (9, 12), False))
    expected = np.zeros((1, 9, 12), np.uint8)
    expected[:, slice(*rows), slice(*columns)] = 1
    np.testing.assert_array_equal(mask["masks"].numpy(), expected)


@pytest.mark.parametrize("flip", [False, True])
def test_an_image_without_objects_has_targets_of_the_right_shapes(flip):
    move = Move((1, 2), (5, 6), (20, 24), flip)
    found = targets(table([], []), (9, 12), move, row=1)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    assert shapes == {"boxes": (0, 4), "labels": (0,), "iscrowd": (0,), "masks": (0, 20, 24)}
    assert "masks" not in targets(table([]), (9, 12), move, masks=False)


def test_a_mask_of_another_size_is_named():
    objects = table([([1, 1, 5, 5], 0, False, np.ones((8, 8), bool))])
    with pytest.raises(CorruptStoreError, match="no mask of 9x12 pixels"):
        targets(objects, (9, 12), Move((0, 0), (9, 12), (9, 12), False))
