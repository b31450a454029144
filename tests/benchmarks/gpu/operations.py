"""What the host asks of a device: kernels, copies and synchronisations, counted by the profiler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from tests.benchmarks.gpu.runs import wait

COLUMNS = ("kernels", "copies to the device", "of pageable memory", "copies back", "waits")
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")
_MEASURED = "measured"


def count_operations(
    work: Callable[[], object], device: torch.device, times: int
) -> dict[str, float | None]:
    """Run some work several times; return the counts of `COLUMNS` for each time.

    A copy of pageable memory makes the host wait as well. On the CPU there is nothing to count.
    """
    if device.type == "cpu":
        return dict.fromkeys(COLUMNS)
    work()
    wait(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        with record_function(_MEASURED):
            for _ in range(times):
                work()
        wait(device)
    counts = count_events(profiled.events())
    if not counts["kernels"]:
        raise RuntimeError("the profiler saw no kernel: it may not be allowed to on this machine")
    return {column: counts[column] / times for column in COLUMNS}


def count_events(events: Iterable[Any]) -> Counter[str]:
    """Count the events of a profile by the columns that they belong to."""
    events = list(events)
    (span,) = [
        event.time_range
        for event in events
        if event.name == _MEASURED and event.device_type == DeviceType.CPU
    ]
    counts: Counter[str] = Counter()
    for event in events:
        if event.is_user_annotation:
            continue
        if event.device_type == DeviceType.CPU:
            # The last wait, for the device to finish, and the profiler's own come after the work.
            inside = span.start <= event.time_range.start <= span.end
            counts["waits"] += inside and event.name in _WAITS
        elif event.name.startswith("Memcpy HtoD"):
            counts["copies to the device"] += 1
            counts["of pageable memory"] += "Pageable" in event.name
        elif event.name.startswith("Memcpy DtoH"):
            counts["copies back"] += 1
        elif not event.name.startswith(("Memset", "Memcpy")):
            counts["kernels"] += 1
    return counts
