"""``freqprep stats``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from freqprep.convert.source_sample import source_sample
from freqprep.engines import Workers
from freqprep.errors import UsageError
from freqprep.importance.analysis import DEFAULT_TOP
from freqprep.importance.choice import BEST
from freqprep.importance.network_judge import NETWORK_SCORES
from freqprep.importance.ranking import BYTES, SCORES
from freqprep.importance.request import StatsRequest, compute_stats, other_split
from freqprep.importance.result import StatsResult, chosen_precision, made_from, to_document
from freqprep.progress import say
from freqprep.report import PLOT_FILES, write_plots, write_report
from freqprep.report.style import check_matplotlib
from freqprep.spectrum.channels import Selection
from freqprep.storage.paths import AnyPath, as_source, remove
from freqprep.store.reader import open_store
from freqprep.store.selection_file import SUFFIX
from freqprep.store.selections import (
    STEPS_SUFFIX,
    check_name,
    save_selection,
    saved_file,
    steps_path,
    write_selection,
)
from freqprep.store.split import Split
from freqprep.store.steps_file import write_steps
from freqprep.store.targets import check_folder, check_targets, refuse_replacing
from freqprep.text.quantities import plural
from freqprep_cli.command_line import selection_names
from freqprep_cli.options import Address, Engine, Jobs, Overwrite, Place, StoreArgument
from freqprep_cli.output import print_json
from freqprep_cli.stats_table import describe

_CHOICE, _OUTPUT = "Choice of channels", "Output"


def score_names() -> list[str]:
    """Values of `--by`, for shell completion."""
    return [*SCORES, BYTES, *NETWORK_SCORES, BEST]


def stats(
    store: StoreArgument,
    split: Annotated[
        str | None, typer.Option(help="Split; needed where there are several.", metavar="S")
    ] = None,
    jobs: Jobs = None,
    engine: Engine = "local",
    address: Address = None,
    top: Annotated[
        int | None,
        typer.Option(
            help=f"Number of channels to choose, at most; {DEFAULT_TOP} by default, or all if fewer"
            " are stored.",
            metavar="N",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            help=f"Score to choose by: {', '.join((*SCORES, BYTES))}; with --network "
            f"{' or '.join(NETWORK_SCORES)}; or best: visible within the bytes of the published "
            "selection of the same size or, with --network, the candidate of the lowest loss.",
            metavar="SCORE",
            autocompletion=score_names,
            rich_help_panel=_CHOICE,
        ),
    ] = BEST,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Largest size of the chosen channels: 20KB/image, 60GB for all images, or a "
            "selection whose size is the limit. With --by best, the precision to convert with is "
            "chosen as well.",
            metavar="BYTES",
            autocompletion=selection_names,
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    source: Annotated[
        Place | None,
        typer.Option(
            parser=as_source,
            help="What the store was made from, a folder or a URL. Precisions are then compared by "
            "its images, not by the stored codes, which say nothing of steps finer than theirs.",
            metavar="SOURCE",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            help="Trained RGB network to evaluate selections with (.npz, .pt, .pth of "
            "torchvision's mobilenet_v2 or resnet50).",
            metavar="FILE",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    sample: Annotated[
        int,
        typer.Option(
            help="Number of images to evaluate the network on.",
            metavar="N",
            min=1,
            rich_help_panel=_CHOICE,
        ),
    ] = 200,
    scores: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of an additional score.", metavar="FILE", rich_help_panel=_CHOICE
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            help="Compare each channel with another split, or with another store.",
            metavar="OTHER",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            help="Save the chosen channels in the store under this name.",
            metavar="NAME",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Save the chosen channels as a JSON file.",
            metavar="FILE",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a report as a single HTML file.",
            metavar="FILE",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            help="Write the figures of the report as PNG files.",
            metavar="DIR",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Rank a split's frequency channels, and choose the few worth training on.

    With --budget, channels and precision are chosen together: within the same bytes, more channels
    at coarser steps. With --save or --output, the steps may be fitted to the split; they are
    written to a .steps.json file beside the selection, for convert --steps.

    Example: freqprep stats photos.zarr --split train --top 24 --report report.html
    """
    workers = Workers(jobs, engine, address)
    files = _Files(store, save, output, report, plots)
    files.check(overwrite)
    opened = open_store(workers.path(store))
    chosen_split = opened.only(split)
    other = None if compare is None else other_split(opened, chosen_split, compare)
    fitted = save is not None or output is not None
    if top is None:
        top = min(DEFAULT_TOP, len(chosen_split.attributes.channels))
    request = StatsRequest(top, by, budget, network, sample, scores, fitted)
    fine_codes = (
        None if source is None else source_sample(chosen_split, workers.path(source), store)
    )
    result = compute_stats(chosen_split, request, other, workers, fine_codes)
    steps = files.write(result, chosen_split)
    if json:
        document = to_document(result)
        print_json(document if steps is None else {**document, "precision": str(steps)})
    else:
        typer.echo(describe(result, steps))


@dataclass(frozen=True)
class _Files:
    """Files that the command writes, each if its option is given."""

    store: AnyPath
    save: str | None
    output: Path | None
    report: Path | None
    plots: Path | None

    def check(self, overwrite: bool) -> None:
        """Refuse what could not be written, before the pass over the split."""
        if self.save is not None:
            check_name(self.save)
        _check_plots(self.plots, overwrite)
        if self.output is not None and self.output.suffix != SUFFIX:
            raise UsageError(
                f"a saved selection ends in {SUFFIX}, not {self.output}", "choose another name"
            )
        saved = None if self.save is None else saved_file(self.store, self.save)
        beside = None if self.output is None else steps_path(self.output)
        steps = None if self.save is None else saved_file(self.store, f"{self.save}{STEPS_SUFFIX}")
        check_targets((self.output, beside, self.report, saved, steps), overwrite)
        if self.report is not None or self.plots is not None:
            check_matplotlib()

    def write(self, result: StatsResult, split: Split) -> AnyPath | None:
        """Write the files, and print their paths on stderr; return that of the steps, if any."""
        steps: AnyPath | None = None
        indices = result.choice.selection.indices
        if self.report is not None:
            write_report(result, split, self.report)
            say(f"report: {self.report}")
        if self.plots is not None:
            written = write_plots(result, split, self.plots)
            say(f"plots: {plural(len(written), 'file')} in {self.plots}")
        if self.output is not None:
            write_selection(self.output, Selection(indices, self.output.stem), made_from(result))
            say(f"saved: {self.output}")
            steps = _write_steps(result, self.output)
        if self.save is not None:
            path = save_selection(self.store, Selection(indices, self.save), made_from(result))
            say(f"saved as {self.save}: {path}")
            steps = _write_steps(result, path)
        return steps


def _write_steps(result: StatsResult, selection: AnyPath) -> AnyPath | None:
    """Write the chosen steps beside a selection, unless they have a name."""
    precision, path = chosen_precision(result), steps_path(selection)
    if precision.is_predefined:
        remove(path)  # of a selection that was replaced
        return None
    write_steps(path, precision)
    say(f"its steps, for convert --steps: {path}")
    return path


def _check_plots(plots: Path | None, overwrite: bool) -> None:
    """Refuse a folder that cannot hold the figures."""
    if plots is None:
        return
    check_folder(plots, "plots")
    there = sorted(str(path) for pattern in PLOT_FILES for path in plots.glob(pattern))
    if there and not overwrite:
        refuse_replacing(there)
