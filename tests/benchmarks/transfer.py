"""From an RGB network's weights to frequency channels: the accuracy kept, by epochs of training.

MobileNetV2 with ImageNet's weights on imagenette: as RGB, and on channels with a first stage from
random weights or fitted to the RGB network's (``freqprep train --init``). Grids are such that all
have maps of equal size; the classifier's rows are those of the ten classes, so that there is an
accuracy before any training. Each training is a run folder: finished ones are skipped, unfinished
ones are resumed. ``python -m tests.benchmarks.transfer --folder DIR --grid 56 --seeds 3``.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.training import classifier_task
from freqprep.training.distributed import World
from freqprep.training.planning import plan
from freqprep.training.request import TrainingRequest
from freqprep.training.run_state import RunState
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import finished_run, recipe, record_origin, train_logged

_MODEL, _BATCH, _RATE = "mobilenet_v2", 32, 0.001
_HEAD = "classifier.1."


@dataclass(frozen=True)
class Way:
    """A network that begins with the weights.

    Attributes
    ----------
    label : str
    changes : dict
        Fields of a `TrainingRequest`.
    fitted : bool
        Whether its first stages are fitted to those of the RGB network.
    """

    label: str
    changes: Mapping[str, object]
    fitted: bool = True


WAYS = {
    "rgb": Way("RGB", {"input": "rgb"}),
    "dct-24": Way("DCT-24, fitted", {"channels": "square-24"}),
    "dct-24-random": Way("DCT-24, random first layers", {"channels": "square-24"}, fitted=False),
    "dct-64": Way("DCT-64, fitted", {"channels": "paper-64"}),
}


@dataclass(frozen=True)
class Sizes:
    """Size of the comparison.

    Attributes
    ----------
    grid : int
        Blocks along each axis; RGB has twice as many pixels.
    seeds, epochs : int
        Seeds; epochs of the longer training, beside those of one.
    """

    grid: int = 56
    seeds: int = 3
    epochs: int = 5


def run(data: Path, folder: Path, sizes: Sizes | None = None) -> dict[str, object]:
    sizes = sizes or Sizes()
    torch.set_num_threads(1)
    record_origin(folder, "imagenette, CPU", 1)
    store = folder / "store.zarr"
    convert(Request("imagefolder", data / "imagenette", store, size=224, resume=store.exists()))
    weights = _ten_classes(data, folder / "weights.npz")
    found: dict[str, list[object]] = {name: [way.label] for name, way in WAYS.items()}
    header = ["begins as", "top-1 untrained"]

    def request(name: str, epochs: int, seed: int) -> TrainingRequest:
        run = folder / f"grid-{sizes.grid}" / name / f"epochs-{epochs}" / f"seed-{seed}"
        return _request(store, run, weights, WAYS[name], sizes.grid, epochs, seed)

    for name, way in WAYS.items():
        found[name].append(f"{_untrained(request(name, 1, 0), way):.1%}")
    show(header, list(found.values()))
    for epochs in (1, sizes.epochs):
        header.append(f"{epochs} epochs")
        for name, way in WAYS.items():
            trained = [_train(request(name, epochs, seed), way) for seed in range(sizes.seeds)]
            found[name].append(_spread(trained))
        show(header, list(found.values()))
    return {"rows": list(found.values())}


def _ten_classes(data: Path, path: Path) -> Path:
    """Write the weights with those rows of the classifier that are of the data's classes."""
    if path.exists():
        return path
    with open(data / "imagenet/synset_words.tsv", newline="") as file:
        index = {row["wnid"]: int(row["index"]) for row in csv.DictReader(file, delimiter="\t")}
    classes = sorted(one.name for one in (data / "imagenette/train").iterdir())
    kept = [index[wnid] for wnid in classes]
    tensors = dict(np.load(data / "weights/mobilenet_v2_imagenet_folded.npz"))
    tensors |= {name: tensors[name][kept] for name in tensors if name.startswith(_HEAD)}
    np.savez(path, **tensors)
    return path


def _request(
    store: Path, folder: Path, weights: Path, way: Way, grid: int, epochs: int, seed: int
) -> TrainingRequest:
    return TrainingRequest(
        store,
        folder,
        _MODEL,
        recipe(epochs, _BATCH, _RATE),
        grid=grid,
        init=weights,
        seed=seed,
        device="cpu",
        threads=1,
        resume=True,
        **way.changes,
    )


def _untrained(request: TrainingRequest, way: Way) -> float:
    """Return the accuracy of the network that training begins with."""
    world = World(0, 1, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder, _first_stage(way), torch.random.fork_rng([]):
        anew = dataclasses.replace(request, run=Path(folder) / "run", resume=False)
        planned = plan(anew)
        with contextlib.closing(RunState(anew, planned, world)) as state:
            found, _, _ = state.task.validate(state.network.eval(), planned.val, world)
            state.log.close()
    return found["top1"]


def _train(request: TrainingRequest, way: Way) -> float:
    config = finished_run(request.run)
    if config is None:
        with _first_stage(way):
            config = train_logged(request)
    top1: float = config.results["validation"]["top1"]
    print(f"{request.run}: top-1 {top1:.1%}", flush=True)
    return top1


@contextlib.contextmanager
def _first_stage(way: Way) -> Iterator[None]:
    """Leave the first stages of networks begun in this block as drawn, unless they are fitted."""
    if way.fitted:
        yield
        return
    with mock.patch.object(classifier_task, "fit_to_rgb", lambda *_: ""):
        yield


def _spread(values: list[float]) -> str:
    percent = 100 * np.array(values)
    return f"{percent.mean():.1f} ({', '.join(f'{value:.1f}' for value in percent)})"


def main() -> None:
    from tests.benchmarks.__main__ import DATA

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.transfer")
    parser.add_argument("--folder", type=Path, required=True, help="working files; kept")
    for name, value in vars(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N")
    given = vars(parser.parse_args())
    folder = given.pop("folder")
    folder.mkdir(parents=True, exist_ok=True)
    run(DATA, folder, Sizes(**given))


if __name__ == "__main__":
    main()
