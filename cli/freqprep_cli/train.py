"""``freqprep train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from freqprep.models.torchvision_ops import import_torchvision
from freqprep_cli.command_line import device_names, selection_names
from freqprep_cli.options import CacheBytes, CacheFolder, StoreArgument
from freqprep_cli.output import print_json
from freqprep_cli.train_options import (
    NETWORK,
    Gate,
    GateBudget,
    GateChannels,
    GateLambda,
    choose_policy,
    gate_goals,
    parse_ramp,
)
from freqprep_cli.train_table import describe, describe_sweep

# The library's registries have these too, but importing them takes torch: a test compares.
Model = Literal["resnet50", "mobilenet_v2", "fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"]
Input = Literal["frequency", "rgb"]
Strides = Literal["canonical", "authors"]
Preset = Literal["short", "fast", "paper"]
BatchNorm = Literal["frozen", "trained"]
_DATA, _OPTIMIZATION = "Data", "Optimization"
_AUGMENTATION, _DETECTORS, _RUN = "Augmentation of classifiers", "Detectors", "Run"


def train(
    store: StoreArgument,
    *,
    train_split: Annotated[
        str, typer.Option(help="Split to train on.", metavar="S", rich_help_panel=_DATA)
    ] = "train",
    val_split: Annotated[
        str | None,
        typer.Option(
            help="Split to validate on; val where there is one.",
            metavar="S",
            rich_help_panel=_DATA,
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Channels the network is fed: a selection, saved name, file, count or channels; "
            "square-24 by default, all that are stored with --gate.",
            metavar="SEL",
            autocompletion=selection_names,
            rich_help_panel=_DATA,
        ),
    ] = None,
    read: Annotated[
        str | None,
        typer.Option(
            help="Channels read from the store, for crops to be resized from; by default those "
            "used and paper-64, for RGB and detectors all that are stored.",
            metavar="SEL",
            autocompletion=selection_names,
            rich_help_panel=_DATA,
        ),
    ] = None,
    early_read: Annotated[
        str | None,
        typer.Option(
            help="With --grid-ramp, channels read before its last grid; those used, or more.",
            metavar="SEL",
            autocompletion=selection_names,
            rich_help_panel=_DATA,
        ),
    ] = None,
    input: Annotated[
        Input,
        typer.Option(
            help="frequency, or rgb: the model's ordinary form, on pixels rebuilt from the store.",
            metavar="KIND",
            rich_help_panel=_DATA,
        ),
    ] = "frequency",
    model: Annotated[
        Model,
        typer.Option(
            help="resnet50 or mobilenet_v2; fasterrcnn_resnet50_fpn or maskrcnn_resnet50_fpn.",
            metavar="NAME",
            rich_help_panel=NETWORK,
        ),
    ],
    grid: Annotated[
        int | None,
        typer.Option(
            help="Side of the input to the first block: 56 for resnet50 and 112 for mobilenet_v2 "
            "by default. The crop is 8 times that in pixels; for RGB 4 times (mobilenet_v2: 2). Of "
            "detectors the short side, 200 by default: images are resized to 4 times that.",
            metavar="N",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    grid_ramp: Annotated[
        str | None,
        typer.Option(
            help="Train a classifier with the first of two grids, such as 20:28, and with the "
            "second at the end. --grid, for validation and all use, is then the second or larger.",
            metavar="N:N",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Weights to begin with: .pt, .pth or .npz of torchvision's names, or the "
            "checkpoint of a run.",
            metavar="FILE",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    strides: Annotated[
        Strides,
        typer.Option(
            help="canonical, or authors: resnet50's second stage without its stride, 3.4 times "
            "the arithmetic, as the published network was.",
            metavar="NAME",
            rich_help_panel=NETWORK,
        ),
    ] = "canonical",
    gate: Gate = False,
    gate_channels: GateChannels = None,
    gate_budget: GateBudget = None,
    gate_lambda: GateLambda = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="short; fast, for classifiers: 16 epochs at rising resolution; or paper: the "
            "published recipe.",
            metavar="NAME",
            rich_help_panel=_OPTIMIZATION,
        ),
    ] = "short",
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Epochs; the preset's by default.", metavar="N", rich_help_panel=_OPTIMIZATION
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Images of one step, over all processes; 256 by default, 512 with fast, 16 for "
            "detectors.",
            metavar="N",
            rich_help_panel=_OPTIMIZATION,
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            help="Number of parts in which a batch is computed, to save memory.",
            metavar="N",
            rich_help_panel=_OPTIMIZATION,
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Learning rate; by default the preset's, in proportion to the batch.",
            metavar="X",
            rich_help_panel=_OPTIMIZATION,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of weights, order and augmentation.",
            metavar="N",
            rich_help_panel=_OPTIMIZATION,
        ),
    ] = 0,
    aligned_crops: Annotated[
        bool,
        typer.Option(
            "--aligned-crops",
            help="Crop whole blocks and resize nothing: faster, and less varied.",
            rich_help_panel=_AUGMENTATION,
        ),
    ] = False,
    mixup: Annotated[
        float | None,
        typer.Option(help="Mixup's alpha; 0 is off.", metavar="X", rich_help_panel=_AUGMENTATION),
    ] = None,
    cutmix: Annotated[
        float | None,
        typer.Option(help="CutMix's alpha; 0 is off.", metavar="X", rich_help_panel=_AUGMENTATION),
    ] = None,
    batch_norm: Annotated[
        BatchNorm | None,
        typer.Option(
            help="frozen or trained, in the backbone; frozen with --init by default.",
            metavar="NAME",
            rich_help_panel=_DETECTORS,
        ),
    ] = None,
    trained_stages: Annotated[
        int,
        typer.Option(
            help="Stages of the backbone that train, the last ones first.",
            metavar="N",
            rich_help_panel=_DETECTORS,
        ),
    ] = 4,
    regions: Annotated[
        int,
        typer.Option(
            help="Regions of an image that the heads learn from.",
            metavar="N",
            rich_help_panel=_DETECTORS,
        ),
    ] = 512,
    smallest_crop: Annotated[
        float | None,
        typer.Option(
            help="Crop each side at random to between this share and all of it.",
            metavar="X",
            rich_help_panel=_DETECTORS,
        ),
    ] = None,
    run: Annotated[
        Path,
        typer.Option(
            help="Folder of the run: config, checkpoint, metrics.",
            metavar="DIR",
            rich_help_panel=_RUN,
        ),
    ],
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in the folder.", rich_help_panel=_RUN),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu or cuda; a GPU where there is one.",
            metavar="D",
            autocompletion=device_names,
            rich_help_panel=_RUN,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads that read ahead: by channels and cores (OMP_NUM_THREADS: that compute).",
            metavar="N",
            rich_help_panel=_RUN,
        ),
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(
            help="Parts that the order of rows is dealt to: a multiple of the number of processes; "
            "up to 16 by default, 1 for small stores.",
            metavar="N",
            rich_help_panel=_RUN,
        ),
    ] = None,
    cache: CacheFolder = None,
    cache_bytes: CacheBytes = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network.", rich_help_panel=_RUN)
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_RUN),
    ] = False,
) -> None:
    """Train a classifier or a detector on frequency channels, or RGB, straight from a store.

    Several processes: torchrun --nproc-per-node N --no-python -- freqprep train ...

    Example: freqprep train photos.zarr --model resnet50 --channels square-24 --run runs/first
    """
    import_torchvision()
    from freqprep.streaming.ranks import process_numbers
    from freqprep.training.loop import train as train_network
    from freqprep.training.recipe import preset_recipe
    from freqprep.training.request import TrainingRequest
    from freqprep.training.sweep import sweep

    goals = gate_goals(gate, gate_channels, gate_budget, gate_lambda)
    ramp = parse_ramp(grid_ramp)
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "lr": lr,
        "mixup": mixup,
        "cutmix": cutmix,
        **goals[0],
        "policy": choose_policy(aligned_crops, smallest_crop),
        "grid_ramp": ramp,
    }
    request = TrainingRequest(
        store=store,
        run=run,
        model=model,
        recipe=preset_recipe(preset, model, **changes),
        channels=channels,
        read=read,
        input=input,
        grid=ramp[1] if grid is None and ramp is not None else grid,
        strides=strides,
        gate=gate,
        frozen_norm=None if batch_norm is None else batch_norm == "frozen",
        trained_stages=trained_stages,
        regions=regions,
        init=init,
        seed=seed,
        train_split=train_split,
        val_split=val_split,
        device=device,
        threads=threads,
        compile=compile,
        lanes=lanes,
        resume=resume,
        preset=preset,
        early_read=early_read,
        cache=cache,
        cache_bytes=cache_bytes,
    )
    if len(goals) > 1:
        rows = sweep(request, [goal["gate_lambda"] for goal in goals])
        if json:
            print_json({"sweep": rows})
        else:
            typer.echo(describe_sweep(rows))
        return
    config = train_network(request)
    if process_numbers()[1] > 0:
        return  # the leading process alone speaks
    if json:
        print_json({"run": str(run), "model": config.model, **config.results})
    else:
        typer.echo(describe(config, run))
