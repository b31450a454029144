"""Options of a source: what the user named because it is not found by itself."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freqprep.errors import UsageError
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, as_path

OPTIONS: dict[str, tuple[str, ...]] = {
    "coco": ("annotations", "images"),
    "parquet": ("image_column", "label_column", "class_names"),
    "webdataset": ("label_column", "class_names"),
}
"""Kind of source -> fields of `SourceOptions` that it takes; other kinds take none."""

_PATHS = frozenset(("annotations", "images", "class_names"))


@dataclass(frozen=True)
class SourceOptions:
    """Options that the user named of a source; None where it is to be found.

    Attributes
    ----------
    annotations, images : Path or ObjectPath, or None
        COCO's annotation file, and the folder of its images.
    image_column : str or None
        Column of a Parquet table that holds the images.
    label_column : str or None
        Column of a Parquet table, or field of a sample's ``.json``, that holds the labels.
    class_names : Path or ObjectPath, or None
        Text file with the name of each class, in label order, one per line.
    """

    annotations: AnyPath | None = None
    images: AnyPath | None = None
    image_column: str | None = None
    label_column: str | None = None
    class_names: AnyPath | None = None

    @property
    def given(self) -> dict[str, AnyPath | str]:
        """Fields that are not None, by name."""
        fields = (field.name for field in dataclasses.fields(self))
        values = {name: getattr(self, name) for name in fields}
        return {name: value for name, value in values.items() if value is not None}

    def check(self, kind: str) -> None:
        """Refuse options that a kind of source does not take, and empty names.

        Raises
        ------
        UsageError
        """
        for name, value in self.given.items():
            if name not in OPTIONS.get(kind, ()):
                takers = " and ".join(k for k, names in OPTIONS.items() if name in names)
                raise UsageError(
                    f"{as_flag(name)} with {kind}: it is an option of {takers}", "omit it"
                )
            if value == "":
                raise UsageError(f"{as_flag(name)} with an empty name", "name a column, or omit it")

    def texts(self, source: AnyPath) -> dict[str, str]:
        """Return what was given as texts; paths are relative to the source if inside it."""
        return {
            name: _relative(source, value) if isinstance(value, Path | ObjectPath) else value
            for name, value in self.given.items()
        }

    @classmethod
    def of_texts(cls, source: AnyPath, texts: Mapping[str, str]) -> SourceOptions:
        """Return the options that `texts` was called on, of a source that may have moved."""
        known = {field.name for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {
            name: _absolute(source, text) if name in _PATHS else text
            for name, text in texts.items()
            if name in known
        }
        return cls(**values)


NO_OPTIONS = SourceOptions()


def as_flags(texts: Mapping[str, str]) -> str:
    """Format options as the command line has them, for messages."""
    return " ".join(f"{as_flag(name)} {text}" for name, text in texts.items())


def as_flag(name: str) -> str:
    """Return an option as the command line has it."""
    return f"--{name.replace('_', '-')}"


def _relative(source: AnyPath, path: AnyPath) -> str:
    if isinstance(source, Path) and isinstance(path, Path):
        top, full = os.path.abspath(source), os.path.abspath(path)
        inside = os.path.commonpath([top, full]) == top
        return os.path.relpath(full, top) if inside else full
    if source == path:
        return os.curdir
    if isinstance(source, ObjectPath) and isinstance(path, ObjectPath):
        prefix = f"{source.key}/" if source.key else ""
        if path.root == source.root and path.key.startswith(prefix):
            return path.key[len(prefix) :]
    return str(path) if isinstance(path, ObjectPath) else os.path.abspath(path)


def _absolute(source: AnyPath, text: str) -> AnyPath:
    if text == os.curdir:
        return source
    named = as_path(text)
    if isinstance(named, ObjectPath) or named.is_absolute():
        return named
    return source / text
