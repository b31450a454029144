"""Entry point: the subcommands, and what happens to their errors."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType

import typer

from freqprep import __version__
from freqprep.errors import FreqprepError
from freqprep_cli import convert, info, show, verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Images as frequency channels: convert them once, read only the channels you train on.",
)
app.command(name="convert", no_args_is_help=True)(convert.convert)
app.command(name="info", no_args_is_help=True)(info.info)
app.command(name="show", no_args_is_help=True)(show.show)
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


def main() -> None:
    """Run the command line; errors become one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may be no text
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except FreqprepError as error:
        _fail(f"error: {error}", error.exit_code)
    except OSError as error:
        _fail(f"error: {error}", 1)


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> None:
    print(message.replace("\n", "\\n"), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
