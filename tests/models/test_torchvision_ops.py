"""torchvision imports and suppresses boxes, compiled operators or not."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from freqprep.errors import MissingPackageError
from freqprep.models import torchvision_ops
from freqprep.models.torchvision_ops import import_torchvision


def brute_force(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    def iou(a, b):
        width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
        height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
        areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
        return width * height / (sum(areas) - width * height)

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[i], boxes[k]) <= threshold for k in kept):
            kept.append(i)
    return kept


@pytest.fixture(scope="module")
def nms():
    return import_torchvision().ops.nms


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_random_boxes_are_those_of_brute_force_in_the_same_order(nms, seed, threshold):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 50, (80, 2)), rng.uniform(1, 30, (80, 2))
    boxes = np.hstack([corner, corner + size])
    scores = rng.integers(0, 20, 80) / 20  # with ties
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == brute_force(boxes, scores, threshold)


def test_the_function_itself_agrees(nms):
    rng = np.random.default_rng(7)
    corner = rng.uniform(0, 50, (60, 2)).astype(np.float32)
    boxes = torch.from_numpy(np.hstack([corner, corner + 20]))
    scores = torch.from_numpy(rng.permutation(60).astype(np.float32))
    assert torchvision_ops.nms(boxes, scores, 0.4).tolist() == nms(boxes, scores, 0.4).tolist()


def test_exactly_the_threshold_is_kept_and_empty_boxes_do_not_matter(nms):
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 2], [5, 5, 5, 5], [5, 5, 5, 5]])
    assert nms(boxes, torch.tensor([4.0, 3, 2, 1]), 0.5).tolist() == [0, 1, 2, 3]
    assert nms(boxes, torch.tensor([4.0, 3, 2, 1]), 0.49).tolist() == [0, 2, 3]
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_wrong_shapes_are_refused(nms):
    with pytest.raises(RuntimeError):
        nms(torch.zeros(3, 4), torch.zeros(2), 0.5)
    with pytest.raises(RuntimeError):
        torchvision_ops.nms(torch.zeros(3, 5), torch.zeros(3), 0.5)


def test_boxes_of_different_classes_do_not_suppress_each_other():
    torchvision = import_torchvision()
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]])
    scores, groups = torch.tensor([0.5, 0.6]), torch.tensor([0, 1])
    assert torchvision.ops.batched_nms(boxes, scores, groups, 0.5).tolist() == [1, 0]


@pytest.mark.parametrize("count", [60, 1200])  # torchvision changes its way beyond 1000 on a CPU
def test_suppression_in_groups_is_that_of_each_group(count):
    rng = np.random.default_rng(3)
    corner, size = rng.uniform(0, 300, (count, 2)), rng.uniform(5, 60, (count, 2))
    boxes, scores = np.hstack([corner, corner + size]), rng.permutation(count) / count
    groups = rng.integers(0, 4, count)
    expected = []
    for group in range(4):
        inside = np.flatnonzero(groups == group)
        expected += inside[brute_force(boxes[inside], scores[inside], 0.4)].tolist()
    expected.sort(key=lambda i: -scores[i])
    kept = import_torchvision().ops.batched_nms(
        *(torch.from_numpy(array) for array in (boxes, scores, groups)), 0.4
    )
    assert kept.tolist() == expected


def test_importing_again_gives_the_same_module():
    assert import_torchvision() is import_torchvision() is sys.modules["torchvision"]


@pytest.mark.parametrize("name", ["torch", "torchvision"])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, name):
    monkeypatch.delitem(sys.modules, name, raising=False)
    find = torchvision_ops.importlib.util.find_spec
    monkeypatch.setattr(
        torchvision_ops.importlib.util, "find_spec", lambda n: None if n == name else find(n)
    )
    with pytest.raises(MissingPackageError, match=rf"{name} is not.*pip install 'freqprep\[train"):
        import_torchvision()


IMPORTING = """
import threading
from freqprep.models.torchvision_ops import import_torchvision

start, found = threading.Barrier(3), []

def work():
    start.wait(60)
    found.append(import_torchvision().models.resnet18)

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found))
"""


def test_threads_may_import_it_at_the_same_time():
    command = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "3", done.stderr
