"""``freqprep stats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freqprep.errors import UsageError
from freqprep.importance.analysis import DEFAULT_TOP
from freqprep.importance.choice import BEST
from freqprep.importance.network_judge import NETWORK_SCORES
from freqprep.importance.ranking import BYTES, SCORES
from freqprep.importance.request import StatsRequest, compute_stats, other_split
from freqprep.importance.result import made_from, to_document
from freqprep.progress import say
from freqprep.report import PLOT_FILES, write_plots, write_report
from freqprep.report.style import check_matplotlib
from freqprep.spectrum.channels import Selection
from freqprep.store.reader import open_store
from freqprep.store.selection_file import SUFFIX
from freqprep.store.selections import check_name, save_selection, saved_file, write_selection
from freqprep.store.targets import check_folder, check_targets, refuse_replacing
from freqprep_cli.command_line import selection_names
from freqprep_cli.options import Overwrite
from freqprep_cli.output import print_json
from freqprep_cli.stats_table import describe

_CHOICE, _OUTPUT = "Choice of channels", "Output"


def score_names() -> list[str]:
    """What `--by` takes, for the shell to complete."""
    return [*SCORES, BYTES, *NETWORK_SCORES, BEST]


def stats(
    store: Annotated[Path, typer.Argument(help="The store.", metavar="STORE")],
    split: Annotated[
        str | None, typer.Option(help="Split; needed where there are several.", metavar="S")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Worker processes; one a core.", metavar="N", min=1)
    ] = None,
    top: Annotated[
        int,
        typer.Option(help="Choose at most so many channels.", metavar="N", rich_help_panel=_CHOICE),
    ] = DEFAULT_TOP,
    by: Annotated[
        str,
        typer.Option(
            help=f"Score to choose by: {', '.join((*SCORES, BYTES))}; with --network "
            f"{' or '.join(NETWORK_SCORES)}; or best: visible within the bytes of the published "
            "selection of as many channels or, with --network, the candidate that the network does "
            "best on.",
            metavar="SCORE",
            autocompletion=score_names,
            rich_help_panel=_CHOICE,
        ),
    ] = BEST,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Most bytes that the chosen channels may take: 20KB/image, 60GB for all images, "
            "or a selection that they shall not exceed.",
            metavar="BYTES",
            autocompletion=selection_names,
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            help="A trained RGB network (.npz, .pt, .pth of torchvision's mobilenet_v2 or "
            "resnet50) to judge selections by.",
            metavar="FILE",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(
            help="Images that the network is shown.", metavar="N", min=1, rich_help_panel=_CHOICE
        ),
    ] = 200,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="One more score, from a JSON file.", metavar="FILE", rich_help_panel=_CHOICE
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            help="Compare channel by channel with another split, or with another store.",
            metavar="OTHER",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            help="Save the chosen channels in the store by this name.",
            metavar="NAME",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Save them as a JSON file.",
            metavar="FILE",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a report to look at, one HTML file.",
            metavar="FILE",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            help="Write its figures as PNG files.", metavar="DIR", rich_help_panel=_OUTPUT
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Say which frequency channels matter, and choose the few worth training on.

    Example: freqprep stats photos.zarr --split train --top 24 --report report.html
    """
    if save is not None:
        check_name(save)
    _check_plots(plots, overwrite)
    if output is not None and output.suffix != SUFFIX:
        raise UsageError(f"a saved selection ends in {SUFFIX}, not {output}", "choose another name")
    saved = None if save is None else saved_file(store, save)
    check_targets((output, report, saved), overwrite)
    if report is not None or plots is not None:
        check_matplotlib()
    opened = open_store(store)
    chosen_split = opened.only(split)
    other = None if compare is None else other_split(opened, chosen_split, compare)
    request = StatsRequest(top, by, budget, network, sample, scores)
    result = compute_stats(chosen_split, request, other, jobs)
    indices = result.choice.selection.indices
    if report is not None:
        write_report(result, chosen_split, report)
        say(f"report: {report}")
    if plots is not None:
        say(f"plots: {len(write_plots(result, chosen_split, plots))} files in {plots}")
    if output is not None:
        write_selection(output, Selection(indices, output.stem), made_from(result))
        say(f"saved: {output}")
    if save is not None:
        path = save_selection(store, Selection(indices, save), made_from(result))
        say(f"saved as {save}: {path}")
    if json:
        print_json(to_document(result))
    else:
        typer.echo(describe(result))


def _check_plots(plots: Path | None, overwrite: bool) -> None:
    """Refuse before the pass a folder that could not hold the figures after it."""
    if plots is None:
        return
    check_folder(plots, "plots")
    there = sorted(str(path) for pattern in PLOT_FILES for path in plots.glob(pattern))
    if there and not overwrite:
        refuse_replacing(there)
