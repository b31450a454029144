"""The benchmark of a GPU: its counting, its supervision of cases, and the smallest case whole."""

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from tests.benchmarks.gpu.cases import cases
from tests.benchmarks.gpu.operations import COLUMNS, count_events, count_operations
from tests.benchmarks.gpu.running import measure
from tests.benchmarks.gpu.supervision import Results, measure_all

WORKER = """
import json, os, sys

def tell(**value):
    print(json.dumps(value), flush=True)

tell(device="none")
for line in sys.stdin:
    case = line.strip()
    tell(table="rows", row={"case": case, "process": os.getpid()})
    if case == "dies":
        os._exit(7)
    if case == "hangs":
        os.read(os.pipe()[0], 1)
    tell(error="ValueError: no" if case == "fails" else None)
"""


def event(name, where=DeviceType.CPU, start=0.0, annotation=False):
    span = SimpleNamespace(start=start, end=start + 1)
    return SimpleNamespace(
        name=name, device_type=where, time_range=span, is_user_annotation=annotation
    )


def test_kernels_copies_and_waits_are_told_apart():
    cuda = DeviceType.CUDA
    found = count_events(
        [
            event("measured", start=10, annotation=False),
            event("measured", cuda, annotation=True),
            event("Optimizer.step#SGD.step", cuda, annotation=True),
            event("elementwise_kernel", cuda),
            event("triton_crop", cuda, start=99),
            event("Memset (Device)", cuda),
            event("Memcpy HtoD (Pinned -> Device)", cuda),
            event("Memcpy HtoD (Pageable -> Device)", cuda),
            event("Memcpy DtoH (Device -> Pageable)", cuda),
            event("Memcpy DtoD (Device -> Device)", cuda),
            event("cudaLaunchKernel", start=10.5),
            event("cudaStreamSynchronize", start=10.5),
            event("cudaDeviceSynchronize", start=12),
        ]
    )
    expected = dict(zip(COLUMNS, (2, 2, 1, 1, 1), strict=True))
    assert {column: found[column] for column in COLUMNS} == expected


def test_events_of_a_real_profile_can_be_counted():
    with profile(activities=[ProfilerActivity.CPU]) as profiled, record_function("measured"):
        torch.ones(3).sum()
    assert not +count_events(profiled.events())
    nothing = count_operations(lambda: None, torch.device("cpu"), 1)
    assert nothing == dict.fromkeys(COLUMNS)


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return [sys.executable, str(script)]


def run(command, cases, seconds=60.0):
    results, written = Results(), []
    deadline = time.monotonic() + seconds
    measure_all(command, cases, deadline, results, lambda: written.append(len(results.tables)))
    return results, written


def test_a_case_that_fails_or_dies_does_not_end_the_others(command):
    names = ("first", "second", "fails", "third", "dies", "last")
    results, written = run(command, dict.fromkeys(names, 0.0))
    assert results.problems == {"fails": "ValueError: no", "dies": "the process ended with 7"}
    rows = results.tables["rows"]
    assert [row["case"] for row in rows] == list(names)  # also what failing cases found before
    first, second, fails, third, dies, last = (row["process"] for row in rows)
    assert first == second == fails and third == dies and len({first, third, last}) == 3
    assert results.machine == {"device": "none"} and len(written) == len(names)


def test_a_case_that_does_not_end_is_stopped_and_named(command):
    results, _ = run(command, {"hangs": 0.0, "last": 0.0}, seconds=2.0)
    assert results.problems["hangs"] == "stopped: out of time"
    assert "last" in results.problems


def test_a_case_that_would_take_too_long_is_left_out(command):
    results, _ = run(command, {"long": 1e6, "short": 0.0})
    assert list(results.problems) == ["long"] and "left out" in results.problems["long"]
    assert [row["case"] for row in results.tables["rows"]] == ["short"]


def test_a_worker_that_does_not_start_is_a_problem_of_each_case():
    results, _ = run([sys.executable, "-c", "raise SystemExit(3)"], {"one": 0.0, "two": 0.0})
    assert set(results.problems.values()) == {"the process ended with 3"}


def test_random_images_are_measured_and_written(tmp_path):
    deadline = time.monotonic() + 240
    smallest = next(name for name in cases() if name.startswith("mobilenet_v2 frequency"))
    chosen = {"bandwidth": 0.0, smallest: 0.0}
    found = measure(tmp_path / "no data", tmp_path, chosen, deadline, images=16, copies=1)
    assert not found["problems"]
    assert found == json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["images"] == "random"
    (row,) = found["tables"]["training"]
    assert row["streamed, images/s"] > 0 and row["ratio"] > 0
    page = (tmp_path / "gpu.md").read_text()
    assert all(f"**{title}**" in page for title in found["tables"])
