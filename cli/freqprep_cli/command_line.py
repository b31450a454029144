"""Sections of ``--help``, and errors of the command line in the words of all other errors."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import shellingham
import typer
from typer.completion import install_callback, show_callback
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from freqprep.errors import UsageError, did_you_mean
from freqprep.spectrum.channels import PUBLISHED
from freqprep.storage.paths import is_broken_url

_WHOLE_SENTENCE = 1000
_SHELLS = ("bash", "zsh", "fish")
_COMPLETION: dict[str, Callable[[Any, Any, str], Any]] = {
    "--install-completion": install_callback,
    "--show-completion": show_callback,
}
_KINDS = {int: "a whole number", float: "a number"}


def selection_names() -> list[str]:
    """Return the selections that every store has, for completion by the shell."""
    return [*PUBLISHED, "all"]


def device_names() -> list[str]:
    """Return the names of devices, for completion by the shell."""
    return ["cpu", "cuda"]


class Command(TyperCommand):
    """Command with a section in ``--help`` for each `rich_help_panel` of its options."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence in full; lists wrap it."""
        return super().get_short_help_str(_WHOLE_SENTENCE)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then sections in the order of their first options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
                panel = getattr(parameter, "rich_help_panel", None)
                sections.setdefault(panel or kind, []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return arguments and required options, then a word for all other options."""
        pieces = []
        for parameter in self.get_params(ctx):
            if parameter.param_type_name == "argument":
                pieces.append(parameter.metavar or parameter.name.upper())
            elif parameter.required:
                pieces.append(f"{max(parameter.opts, key=len)} {parameter.metavar or 'VALUE'}")
        return [*pieces, "[OPTIONS]"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a wrong option or value is a `UsageError`."""
        if not args:
            return super().parse_args(ctx, args)  # prints the help
        with _as_usage_errors(self, ctx, args):
            rest = super().parse_args(ctx, args)
        _refuse_urls(self, ctx)
        return rest


class Group(TyperGroup):
    """The command ``freqprep`` with its subcommands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; a wrong option is a `UsageError`."""
        if not args:
            return super().parse_args(ctx, args)
        if args[0] in _COMPLETION and not ctx.resilient_parsing:
            _COMPLETION[args[0]](ctx, None, _shell(*args[:2]))  # exits
        with _as_usage_errors(self, ctx, args):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find a subcommand; one that does not exist is a `UsageError`."""
        if not ctx.resilient_parsing and args[0] not in self.commands:
            near = did_you_mean(args[0], self.commands)
            raise UsageError(
                f"{ctx.command_path} has no command {args[0]!r}",
                f"{near}`{ctx.command_path} --help` lists them",
            )
        return super().resolve_command(ctx, args)


def _shell(option: str, name: str | None = None) -> str:
    """Return the shell that is named, or that the command runs in."""
    if name is None:
        try:
            name = shellingham.detect_shell()[0]
        except shellingham.ShellDetectionFailure:
            raise UsageError(
                f"{option} cannot detect the shell", f"name it: {option} {listed(_SHELLS)}"
            ) from None
    if name not in _SHELLS:
        remedy = did_you_mean(name, _SHELLS).strip()
        raise UsageError(f"{option} is for {listed(_SHELLS)}, got {name!r}", remedy)
    return name


@contextlib.contextmanager
def _as_usage_errors(command: Any, ctx: Any, args: list[str]) -> Iterator[None]:
    """Raise errors of typer as a `UsageError`."""
    given = list(args)
    try:
        yield
    except typer.BadParameter as error:
        if error.param is None:
            raise
        raise _own_error(error) or _wrong_value(error, command, ctx, given) from None
    except TyperException as error:
        if ctx.resilient_parsing:
            raise
        wrong = getattr(error, "option_name", None)
        remedy = f"see `{ctx.command_path} --help`"
        if wrong is None:
            text = error.format_message().rstrip(".")
            raise UsageError(f"{text[:1].lower()}{text[1:]}", remedy) from None
        options = {name: one for one in command.get_params(ctx) for name in one.opts}
        if wrong in options:
            takes = "takes no value" if options[wrong].is_flag else "needs a value"
            raise UsageError(f"{wrong} {takes}", remedy) from None
        raise UsageError(
            f"{ctx.command_path} has no option {wrong}", did_you_mean(wrong, options) + remedy
        ) from None


def _name(parameter: Any) -> Any:
    """Return the name by which people know an argument or option."""
    if parameter.param_type_name == "option":
        return max(parameter.opts, key=len)
    return parameter.metavar or parameter.name.upper()


def _refuse_urls(command: Any, ctx: Any) -> None:
    """Refuse a URL where a path of this machine is needed."""
    for parameter in command.get_params(ctx):
        given = ctx.params.get(parameter.name)
        for path in given if isinstance(given, list) else [given]:
            if isinstance(path, Path) and is_broken_url(path):
                url = str(path).replace(":/", "://", 1)
                raise UsageError(
                    f"{_name(parameter)} takes a path of this machine, not a URL: {url}",
                    "name a local file or folder",
                )


def _own_error(error: Any) -> UsageError | None:
    """Return the error that a parser of ours raised, from inside typer's; None for other ones."""
    cause: Any = error.__cause__  # pydantic's, which became typer's
    reasons = cause.errors() if hasattr(cause, "errors") else []
    inside = (reason.get("ctx", {}).get("error") for reason in reasons)
    return next((one for one in inside if isinstance(one, UsageError)), None)


def _wrong_value(error: Any, command: Any, ctx: Any, args: list[str]) -> UsageError:
    parameter = error.param
    name = _name(parameter)
    remedy = f"see `{ctx.command_path} --help`"
    given = command.make_parser(ctx).parse_args(args=args)[0].get(parameter.name)
    if given is None:
        meaning = (parameter.help or "").rstrip(".").partition(". ")[0]
        return UsageError(f"{name} is missing: {meaning[:1].lower()}{meaning[1:]}", remedy)
    choices = parameter.type_descriptor.choices
    if choices is not None:
        words = [one.value if isinstance(one, enum.Enum) else str(one) for one in choices]
        must, remedy = listed(words), did_you_mean(given, words) + remedy
    else:
        must = _KINDS.get(parameter.type_descriptor.annotation, "text in UTF-8") + _range(parameter)
    return UsageError(f"{name} must be {must}, got {given!r}", remedy)


def _range(parameter: Any) -> str:
    """Describe the allowed range of a number; arguments have none."""
    least, most = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if least is None or most is None:
        return "" if least is None else f" of at least {least}"
    return f" from {least} to {most}"


def listed(words: Sequence[str]) -> str:
    """Join words as ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
