"""The subcommands and the options of the command itself."""

from __future__ import annotations

import typer

from freqprep import __version__
from freqprep_cli import (
    channels,
    convert,
    evaluate,
    export,
    info,
    predict,
    show,
    stats,
    train,
    verify,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Images as frequency channels: convert them once, read only the channels you train on.",
)
app.command(name="channels")(channels.channels)
app.command(name="convert", no_args_is_help=True)(convert.convert)
app.command(name="evaluate", no_args_is_help=True)(evaluate.evaluate)
app.command(name="export", no_args_is_help=True)(export.export)
app.command(name="info", no_args_is_help=True)(info.info)
app.command(name="predict", no_args_is_help=True)(predict.predict)
app.command(name="show", no_args_is_help=True)(show.show)
app.command(name="stats", no_args_is_help=True)(stats.stats)
app.command(name="train", no_args_is_help=True)(train.train)
app.command(name="verify", no_args_is_help=True)(verify.verify)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"freqprep {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version."
    ),
) -> None:
    """Options of the command itself."""
