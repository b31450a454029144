"""Reading the published 24 channels: freqprep, other Zarr libraries, and zstd alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorstore
import zarr
import zarrs  # noqa: F401 - registers its pipeline
from numcodecs import zstd

import freqprep
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum.channels import STORED_POSITION, ranges
from freqprep.store.schema import ROWS_PER_SHARD, chunk_shape
from tests.benchmarks.replicas import replicate
from tests.benchmarks.table import show

_SELECTION = "square-24"
_ROUNDS = 5


def run(data: Path, folder: Path) -> dict[str, object]:
    source = replicate(data / "imagenet", folder / "source")
    convert(Request("imagenet", source, folder / "s.zarr"))
    split = freqprep.open_store(folder / "s.zarr")["train"]
    selection = freqprep.channels(_SELECTION)
    positions = sorted(STORED_POSITION[index] for index in selection.indices)
    frames = stored_frames(split, positions)
    chunk = np.empty(chunk_shape(split.attributes.encoding.geometry), np.int8)
    array = zarr.open_array(folder / "s.zarr/train/coefficients", mode="r")
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        rust = zarr.open_array(folder / "s.zarr/train/coefficients", mode="r")
    tensor = tensorstore.open(
        {"driver": "zarr3", "kvstore": f"file://{split.path}/coefficients"}, read=True
    ).result()
    runs = [range(s, min(s + ROWS_PER_SHARD, len(split))) for s in range(0, len(split), 128)]
    few = runs[:4]

    def slices(opened: zarr.Array) -> Callable[[range], object]:
        return lambda rows: [
            opened[rows.start : rows.stop, first:stop] for first, stop in ranges(positions)
        ]

    readers: list[tuple[str, Callable[[], float]]] = [
        ("bare zstd, frames in memory", lambda: decompress(frames, chunk) / len(split)),
        ("freqprep read_codes", lambda: _time(lambda r: split.read_codes(r, selection), runs)),
        ("freqprep read (float32)", lambda: _time(lambda r: split.read(r, selection), runs)),
        ("zarr + zarrs, 3 slices", lambda: _time(slices(rust), runs)),
        ("zarr-python, 3 slices", lambda: _time(slices(array), runs)),
        ("tensorstore, channel list", lambda: _time(_listed(tensor, positions), runs)),
        ("zarr-python, oindex list", lambda: _time(_oindex(array, positions), few[:1])),
    ]
    best = {name: float("inf") for name, _ in readers}
    for _ in range(_ROUNDS):  # interleaved, so that other load affects all alike
        for name, measure in readers:
            best[name] = min(best[name], measure())
    bare = best["bare zstd, frames in memory"]
    show(
        ("reader", "images a CPU second", "of bare zstd"),
        [(name, 1 / seconds, bare / seconds) for name, seconds in best.items()],
    )
    single = _single_rows(split)
    print(f"one row, 24 channels, cold: {single * 1e3:.1f} ms")
    return {"images": len(split), "of_bare": {n: bare / s for n, s in best.items()}}


def stored_frames(split: freqprep.Split, positions: Sequence[int]) -> list[bytes]:
    """Return the zstd frames of some stored channels, of all shards."""
    frames = []
    for shard in range(split.shards):
        with split.open_shard(shard) as file:
            frames += [file.chunk_frame(position) for position in positions]
    return frames


def decompress(frames: list[bytes], chunk: np.ndarray) -> float:
    """Decompress frames into one array; return the CPU seconds."""
    began = time.process_time()
    for frame in frames:
        zstd.decompress(frame, chunk)
    return time.process_time() - began


def _time(read: Callable[[range], object], runs: list[range]) -> float:
    began = time.process_time()
    for rows in runs:
        read(rows)
    return (time.process_time() - began) / sum(map(len, runs))


def _listed(tensor: tensorstore.TensorStore, positions: list[int]) -> Callable[[range], object]:
    return lambda rows: tensor[rows.start : rows.stop, positions].read().result()


def _oindex(array: zarr.Array, positions: list[int]) -> Callable[[range], object]:
    return lambda rows: array.oindex[rows.start : rows.stop, positions]


def _single_rows(split: freqprep.Split) -> float:
    rows = list(range(0, len(split), ROWS_PER_SHARD))[:10]
    began = time.process_time()
    for row in rows:  # each in a different shard, so that nothing is cached
        split.read_codes([row], _SELECTION)
    return (time.process_time() - began) / len(rows)
