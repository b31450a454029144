"""The command ``freqprep``: its subcommands and its own options."""

from __future__ import annotations

import typer

from freqprep import __version__
from freqprep_cli import (
    channels,
    convert,
    evaluate,
    export,
    info,
    pack,
    predict,
    repair,
    show,
    stats,
    train,
    verify,
)
from freqprep_cli.command_line import Command, Group

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Images as frequency channels: convert them once, read only the channels you train on.",
)
app.command("channels", cls=Command)(channels.channels)
app.command("convert", cls=Command, no_args_is_help=True)(convert.convert)
app.command("evaluate", cls=Command, no_args_is_help=True)(evaluate.evaluate)
app.command("export", cls=Command, no_args_is_help=True)(export.export)
app.command("info", cls=Command, no_args_is_help=True)(info.info)
app.command("pack", cls=Command, no_args_is_help=True)(pack.pack)
app.command("predict", cls=Command, no_args_is_help=True)(predict.predict)
app.command("repair", cls=Command, no_args_is_help=True)(repair.repair)
app.command("show", cls=Command, no_args_is_help=True)(show.show)
app.command("stats", cls=Command, no_args_is_help=True)(stats.stats)
app.command("train", cls=Command, no_args_is_help=True)(train.train)
app.command("verify", cls=Command, no_args_is_help=True)(verify.verify)


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
