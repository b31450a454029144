"""A batch's augmentation on a device: few kernels, one copy, and nothing to wait for."""

import contextlib

import numpy as np
import pytest
import torch
from device_path import DEVICE, Counted, meta_device
from objects_by_hand import around, blob, table

from freqprep.augment import (
    Augment,
    ClassifierInput,
    DetectorAugment,
    DetectorInput,
    DetectorPolicy,
    Policy,
    mix,
)
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import NAMES, channels
from freqprep.spectrum.quantization import PRECISIONS
from freqprep.streaming.batch import Batch

N = 256
ENCODING = Encoding(Geometry("fit", 512, None, "apply"), PRECISIONS["int8"])
JITTER = Policy(brightness=0.4, contrast=0.4, saturation=0.4, grey=0.1)


def frequency(grid: int) -> ClassifierInput:
    return ClassifierInput(
        kind="frequency",
        read=channels("paper-64").names,
        channels=channels("square-24").names,
        side=8 * grid,
        resize=8 * grid + 64,
        mean=(1.0,) * 24,
        std=(2.0,) * 24,
    )


RGB = ClassifierInput(
    kind="rgb", read=NAMES, channels=(), side=224, resize=256, mean=(120.0,) * 3, std=(60.0,) * 3
)
CASES = {
    "grid 56": (frequency(56), Policy(), 35),
    "grid 112": (frequency(112), Policy(), 35),
    "rgb 224": (RGB, Policy(), 29),
    "aligned crops": (frequency(56), Policy(aligned=True), 18),
    "grid 56, colours": (frequency(56), JITTER, 41),
    "rgb 224, colours": (RGB, JITTER, 35),
}


def augment_of(inputs: ClassifierInput, policy: Policy, dtype=torch.float32) -> Augment:
    return Augment(inputs, ENCODING, policy, 0, dtype)


def batch_of(inputs: ClassifierInput) -> Batch:
    codes = torch.empty((N, len(inputs.read), 64, 64), dtype=torch.int8, device=DEVICE)
    labels = torch.empty(N, dtype=torch.int64, device=DEVICE)
    sizes = np.tile(np.array([[500, 512]], np.int32), (N, 1))
    return Batch(codes, labels, np.arange(N), sizes, 0, 0)


def counted(monkeypatch, step) -> Counted:
    """What the second step does: the first also sends the constants."""
    with meta_device(monkeypatch) as pinned:
        step()
        with Counted(pinned) as found:
            step()
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_few_kernels_one_copy_and_no_wait(monkeypatch, name, dtype):
    inputs, policy, most = CASES[name]
    augment = augment_of(inputs, policy, dtype)

    def step():
        found = augment(batch_of(inputs))
        assert found.shape == (N, *inputs.shape) and found.dtype == dtype
        assert found.device == DEVICE

    found = counted(monkeypatch, step)
    assert not found.waits
    assert found.copies.total() == 1
    assert found.kernels.total() <= most


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.2, 0.0), (0.0, 1.0)])
def test_a_mixed_step_up_to_the_network(monkeypatch, mixup, cutmix):
    inputs = frequency(56)
    augment = augment_of(inputs, Policy())

    def step():
        batch = batch_of(inputs)
        mix(augment(batch), batch.labels, 1000, mixup, cutmix, (0, 0, 0))

    found = counted(monkeypatch, step)
    assert not found.waits
    assert found.copies.total() == 1
    assert found.kernels.total() <= 35 + 12


def test_what_it_counts(monkeypatch):
    with meta_device(monkeypatch) as pinned, Counted(pinned) as found:
        host, data = torch.zeros(3), torch.empty(3, device=DEVICE)
        data.add_(1).mul_(2)
        host.to(DEVICE, non_blocking=True)  # pageable: the host waits all the same
        host.pin_memory().to(DEVICE, non_blocking=True)
        host.pin_memory().to(DEVICE)
        with contextlib.suppress(Exception):  # it has no value
            data.sum().item()
    assert found.kernels.total() == 3
    assert found.copies.total() == 3
    assert found.waits == {"_to_copy that blocks": 2, "_local_scalar_dense": 1}


@pytest.mark.parametrize("masks", [False, True])
def test_a_detector_s_batch(monkeypatch, masks):
    used = channels("square-24")
    inputs = DetectorInput(
        kind="frequency",
        read=used.names,
        channels=used.names,
        short=64,
        longest=107,
        mean=(0.0,) * 24,
        std=(1.0,) * 24,
    )
    rng = np.random.default_rng(0)
    images = [[(around(m), 1, False, m) for m in (blob(rng, 300, 400),) * k] for k in (3, 0, 1, 2)]
    augment = DetectorAugment(inputs, ENCODING, DetectorPolicy(), 0, table(*images), masks)
    codes = torch.empty((4, 24, 64, 64), dtype=torch.int8, device=DEVICE)
    sizes = np.array([[300, 400]] * 4, np.int32)

    def step():
        found = augment(Batch(codes, codes, np.arange(4), sizes, 0, 0))
        assert [len(target["boxes"]) for target in found.targets] == [3, 0, 1, 2]
        assert all(target["boxes"].device == DEVICE for target in found.targets)

    found = counted(monkeypatch, step)
    assert not found.waits
    assert found.copies.total() == 2  # the table of windows, and all targets
    assert found.kernels.total() <= 57 + 2 * 4 * masks
