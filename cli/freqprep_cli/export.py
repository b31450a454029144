"""``freqprep export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freqprep.models.torchvision_ops import import_torchvision
from freqprep.progress import say
from freqprep.store.targets import check_targets
from freqprep.text.quantities import plural, size
from freqprep.text.terminal import paragraph
from freqprep_cli.options import Overwrite


def export(
    run: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="RUN")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write: .onnx, or .pt2 (torch.export)."),
    ],
    overwrite: Overwrite = False,
) -> None:
    """Write a trained network as an ONNX file, checked against the network itself.

    The graph takes coefficients (or RGB in 0..255) and normalises them itself. FILE.json beside it,
    and the same text in the file, says how an image becomes its input, and which answer is which.

    Example: freqprep export runs/first -o model.onnx
    """
    import_torchvision()
    from freqprep.training.checkpoint import load_model, unfinished_note
    from freqprep.training.distributed import choose_device
    from freqprep.training.export import check_target
    from freqprep.training.export import export as write

    check_target(output)
    check_targets((output, output.with_name(f"{output.name}.json")), overwrite)
    config, network = load_model(run, choose_device("cpu"))
    for note in unfinished_note(run, config):
        say(f"note: {note}")
    written = write(config, network, output)
    shape = " x ".join(map(str, config.classifier_inputs.shape))
    typer.echo(
        paragraph(
            f"{config.model}, input n x {shape}, {plural(len(config.class_ids), 'class')}; its"
            f" logits differ from the network's by at most {written.difference:.1e}"
        )
    )
    typer.echo(f"written: {written.path} ({size(written.file_bytes)})")
    typer.echo(f"written: {written.description}")
