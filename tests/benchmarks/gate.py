"""The gate's choices: their agreement over seeds, and their worth beside other selections.

MobileNetV2 from random weights on imagenette. For each goal (24 channels, 48, the bytes of
square-24) a gate is trained with each seed; then a network on each gate's selection, on square-24,
and on the choice of ``stats`` within the bytes of square-24. Each training is a run folder:
finished ones are skipped, unfinished ones are resumed, so it can be run in pieces:
``python -m tests.benchmarks.gate --folder DIR --seeds 3 --epochs 30 --grid 16``.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.channels import channels as resolve
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store
from freqprep.store.split import Split
from freqprep.training.model_config import ModelConfig
from freqprep.training.recipe import preset_recipe
from freqprep.training.request import TrainingRequest
from tests.benchmarks.bytes_by_training.stores import make_stores
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import finished_run, record_origin, train_logged

_MODEL, _REFERENCE = "mobilenet_v2", "square-24"


@dataclass(frozen=True)
class Sizes:
    """Size of the study.

    Attributes
    ----------
    seeds, epochs, grid, batch : int
    """

    seeds: int = 3
    epochs: int = 30
    grid: int = 16
    batch: int = 64


def run(data: Path, folder: Path, sizes: Sizes | None = None) -> dict[str, object]:
    sizes = sizes or Sizes()
    record_origin(folder, f"imagenette, CPU, {sizes}", 1)
    store = make_stores(data / "imagenette", folder, {"int8"})["int8"]
    split = open_store(store)["train"]
    budget = _bytes(split, resolve(_REFERENCE).indices)
    stats = compute_stats(split, StatsRequest(CHANNELS, "visible", f"{budget:.0f}B/image"))
    others = {_REFERENCE: resolve(_REFERENCE).names, "stats": stats.choice.selection.names}
    goals: dict[str, dict[str, object]] = {
        "gate-24": {"gate_channels": 24},
        "gate-48": {"gate_channels": 48},
        "gate-bytes": {"gate_budget": f"{budget:.0f}B/image"},
    }
    chosen: dict[str, list[tuple[str, ...]]] = {}
    rows = []
    for name, goal in goals.items():
        gates = [_train(store, folder / name, seed, sizes, goal) for seed in range(sizes.seeds)]
        chosen[name] = [tuple(config.results["gate"]["channels"]) for config in gates]
        alone = [
            _train(store, folder / f"{name}-alone", seed, sizes, {}, names)
            for seed, names in enumerate(chosen[name])
        ]
        rows += _rows(split, name, gates, alone, chosen[name])
    for name, names in others.items():
        alone = [
            _train(store, folder / name, seed, sizes, {}, names) for seed in range(sizes.seeds)
        ]
        rows += _rows(split, name, None, alone, [names] * sizes.seeds)
    show(("selection", "seed", "channels", "KB an image", "top-1, gate", "top-1, alone"), rows)
    agreement = _agreement(chosen, others)
    show(("selection", "with", "channels in both, by seed"), agreement)
    return {"runs": rows, "agreement": agreement}


def _train(
    store: Path,
    folder: Path,
    seed: int,
    sizes: Sizes,
    goal: Mapping[str, object],
    channels: tuple[str, ...] | None = None,
) -> ModelConfig:
    """Train a gate with a goal, or a network that reads some channels alone."""
    where = folder / f"seed-{seed}"
    if (done := finished_run(where)) is not None:
        return done
    recipe = preset_recipe(
        "short", _MODEL, epochs=sizes.epochs, batch_size=sizes.batch, **dict(goal)
    )
    config = train_logged(
        TrainingRequest(
            store,
            where,
            _MODEL,
            recipe,
            channels=channels,
            grid=sizes.grid,
            gate=bool(goal),
            seed=seed,
            device="cpu",
            resume=True,
        )
    )
    print(
        f"{folder.name}, seed {seed}: top-1 {config.results['validation']['top1']:.1%}", flush=True
    )
    return config


def _rows(
    split: Split,
    name: str,
    gates: list[ModelConfig] | None,
    alone: list[ModelConfig],
    chosen: list[tuple[str, ...]],
) -> list[tuple[object, ...]]:
    return [
        (
            name,
            seed,
            len(names),
            _bytes(split, resolve(list(names)).indices) / 1000,
            "-" if gates is None else f"{gates[seed].results['validation']['top1']:.1%}",
            f"{alone[seed].results['validation']['top1']:.1%}",
        )
        for seed, names in enumerate(chosen)
    ]


def _agreement(
    chosen: Mapping[str, list[tuple[str, ...]]], others: Mapping[str, tuple[str, ...]]
) -> list[tuple[str, str, str]]:
    """Count the channels that selections share: of pairs of seeds, and with fixed selections."""
    rows = []
    for name, by_seed in chosen.items():
        pairs = [len(set(a) & set(b)) for a, b in itertools.combinations(by_seed, 2)]
        rows.append((name, "other seeds", ", ".join(map(str, pairs)) or "-"))
        for other, names in others.items():
            shared = [len(set(one) & set(names)) for one in by_seed]
            rows.append((name, f"{other} ({len(names)})", ", ".join(map(str, shared))))
    return rows


def _bytes(split: Split, indices: tuple[int, ...]) -> float:
    return bytes_read(split, indices) / int(split.valid.sum())


def main() -> None:
    from tests.benchmarks.__main__ import DATA

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gate", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="working files; kept")
    for name, value in vars(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N")
    given = vars(parser.parse_args())
    folder = given.pop("folder")
    folder.mkdir(parents=True, exist_ok=True)
    run(DATA, folder, Sizes(**given))


if __name__ == "__main__":
    main()
