"""Where the time of training goes, and that no step waits for the device between two lines."""

import contextlib
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from freqprep.training import distributed, pace
from freqprep.training.distributed import World, choose_device, without_benchmark
from freqprep.training.evaluate_classifier import _Predictions, _Tally
from freqprep.training.loop import train, train_step
from freqprep.training.metrics import read_metrics
from freqprep.training.pace import Pace, Spent, Stopwatch, shares
from freqprep.training.planning import plan
from freqprep.training.run_state import RunState

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("spent", "expected"),
    [
        (Spent(), (0, 0, 1)),
        (Spent(1, 2), (0.25, 0.5, 0.25)),
        (Spent(5, 2), (1, 0, 0)),
        (Spent(3, 3), (0.75, 0.25, 0)),
    ],
)
def test_the_shares_are_of_the_whole_time(spent, expected):
    found = shares(4.0, spent)
    assert tuple(found.values()) == expected and sum(found.values()) == 1


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], ""),
        (
            [(2000, 3, 0.02, 0.0), (4000, 1, 0.02, 0.08)],
            "2,500 images/s; the network limits it (data 2%, augmentation 2%, network 96%)",
        ),
        (
            [(10, 2, 0.1, 0.6)],
            "10 images/s; augmentation limits it (data 10%, augmentation 60%, network 30%)",
        ),
        (
            [(10, 2, 0.8, 0.1)],
            "10 images/s; data limit it (data 80%, augmentation 10%, network 10%); do this",
        ),
    ],
)
def test_an_epoch_is_described_by_its_lines(lines, text):
    one = Pace()
    for speed, seconds, data, augmentation in lines:
        values = {"images_per_second": speed, "seconds": seconds, "data_wait": data}
        values |= {"augmentation": augmentation, "network": 1 - data - augmentation}
        one.add(values)
    assert one.describe("do this") == text


def test_a_run_says_what_limits_it_after_each_epoch(tiny, capsys):
    request = tiny()
    train(request)
    said = [line for line in capsys.readouterr().err.splitlines() if " limit" in line]
    assert [line.partition(":")[0] for line in said] == ["epoch 1/2", "epoch 2/2"]
    for line in read_metrics(request.run):
        if line["kind"] == "train":
            parts = line["data_wait"], line["augmentation"], line["network"]
            assert sum(parts) == pytest.approx(1) and min(parts) >= 0
            assert line["augmentation"] > 0 and line["seconds"] > 0


def test_on_cuda_a_clock_only_records_events(monkeypatch):
    happened = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            happened.append("record")

        def synchronize(self):
            happened.append("wait")

        def elapsed_time(self, other):
            return 250.0

    monkeypatch.setattr(pace.torch.cuda, "Event", Event)
    clock = Stopwatch(lambda one: happened.append("work") or one, torch.device("cuda"))
    assert [clock(1), clock(2)] == [1, 2]
    assert happened == ["record", "work", "record"] * 2
    assert clock.seconds() == 0.5 and clock.seconds() == 0.5
    assert happened.count("wait") == 2


class Counting(TorchDispatchMode):
    """Counts the operations for which a host waits for a device."""

    WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.bincount")

    def __init__(self):
        super().__init__()
        self.waits = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).rpartition(".")[0]
        self.waits[name] += name in self.WAITS
        return function(*args, **(kwargs or {}))


def test_no_step_reads_a_number_from_the_device(tiny):
    request = tiny(clip=1.0)
    run = RunState(request, plan(request), World(0, 1, CPU))
    run.network.train()
    with contextlib.closing(run.log), run.loader, Counting() as counting:
        for batch in run.loader:
            train_step(run, batch)
        assert +counting.waits == {}
        run.meter.take(run.world, run.spent)  # a line of metrics: one transfer
        assert sum(counting.waits.values()) <= 1


def test_an_evaluation_reads_nothing_until_its_end():
    import numpy as np

    torch.manual_seed(0)
    tally, kept = _Tally(3, np.array([0, -1, 2]), CPU), _Predictions(2)
    with Counting() as counting, torch.inference_mode():
        for number in range(3):
            logits, labels = torch.randn(8, 4), torch.randint(-1, 3, (8,))
            tally.add(number, logits, labels)
            kept.add(np.arange(8) + 8 * number, logits)
        assert +counting.waits == {}
    found = tally.over_all(World(0, 1, CPU), 0)
    assert found.images == 24 and len(kept.over_all(World(0, 1, CPU)).rows) == 24


@pytest.mark.parametrize("before", [True, False])
def test_kernels_are_not_measured_in_the_block(before):
    was = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before
    try:
        with without_benchmark(False):
            assert torch.backends.cudnn.benchmark is before
        with without_benchmark():
            assert not torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.benchmark is before
    finally:
        torch.backends.cudnn.benchmark = was


def test_a_process_is_bound_to_its_gpu_before_it_touches_one(monkeypatch):
    done = []
    monkeypatch.setattr(distributed.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(distributed.torch.cuda, "set_device", lambda one: done.append(str(one)))
    monkeypatch.setattr(distributed.torch, "empty", lambda *_, device: done.append(f"on {device}"))
    for name in (None, "cuda", "cuda:0"):
        done.clear()
        assert choose_device(name, 2) == torch.device("cuda", 2)
        assert done == ["cuda:2", "on cuda:2"]
    assert choose_device("cpu", 2) == CPU
