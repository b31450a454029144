"""Quantization steps as small JSON files: what ``convert --steps`` takes."""

from __future__ import annotations

from typing import Any

from freqprep.errors import UsageError
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.storage.document_format import DocumentFormat
from freqprep.storage.paths import AnyPath


def write_steps(path: AnyPath, precision: Precision) -> None:
    """Write a precision to a file, atomically; an existing file is replaced.

    Parameters
    ----------
    path : Path or ObjectPath
        File to write; its name ends in ``.json``.
    precision : Precision

    Raises
    ------
    UsageError
        The path cannot be that of a steps file, or the precision has a name that cannot be used.
    """
    data = precision.to_dict()
    try:
        _FORMAT.write(path, {"name": data.pop("precision"), **data})
    except ValueError as error:
        raise UsageError(f"the steps cannot be saved: {error}", "choose another name") from None


def read_steps(path: AnyPath) -> Precision:
    """Read the precision in a steps file.

    Raises
    ------
    StoreError
        The file is missing, too large, or not a steps file.
    FormatVersionError
        The file has a newer format.
    """
    return _precision(_FORMAT.read(path))


def _precision(document: dict[str, Any]) -> Precision:
    return Precision.from_dict({**document, "precision": document["name"]})


def _check(document: dict[str, Any]) -> None:
    if missing := [key for key in ("name", "codes", "steps") if key not in document]:
        raise ValueError(f'"{missing[0]}" is missing')
    try:
        precision = _precision(document)
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.remedy}") from None
    if precision != PRECISIONS.get(precision.name, precision):
        raise ValueError(f'"name" is {precision.name!r}, which has other steps')


_FORMAT = DocumentFormat(
    "freqprep-steps", "1.0", "steps file", _check, "docs/format.md describes these files"
)
