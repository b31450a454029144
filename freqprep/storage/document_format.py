"""Small JSON files of a format and version, which may come from anyone."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freqprep.errors import CorruptStoreError, FormatVersionError, StoreError, UsageError
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.storage.document_hash import HASH_KEY, with_hash, without_hash
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse

SUFFIX = ".json"
"""Suffix of the files, which tells a path from a name."""

PARTIAL_PREFIX = ".partial-"
"""Prefix of the folder beside a file in which it is being written."""

MOST_BYTES = 2**20
"""Length of a file, at most."""

_MOST_SHOWN = 200


@dataclass(frozen=True)
class DocumentFormat:
    """A kind of JSON file: what it says it is, and what must hold of its content.

    Attributes
    ----------
    name, version : str
        Values of its keys ``format`` and ``format_version``.
    noun : str
        What a file of this kind is called in messages.
    check : callable
        Raises `ValueError` for a document whose other keys are wrong.
    remedy : str
        How such a file is made.
    """

    name: str
    version: str
    noun: str
    check: Callable[[dict[str, Any]], None]
    remedy: str

    def read(self, path: AnyPath) -> dict[str, Any]:
        """Read a file, checked.

        Raises
        ------
        StoreError
            The file is missing, too large, or not of this kind.
        CorruptStoreError
            The file has a hash, and its content is another one.
        FormatVersionError
            The file has a newer format.
        """
        try:
            data = read_regular(path, MOST_BYTES)
        except (FileNotFoundError, ValueError):  # the latter of a path with a null byte
            raise StoreError(f"there is no file {path}", self.remedy) from None
        except CorruptStoreError as error:  # it is no small file
            raise StoreError(error.message, self.remedy) from None
        except StoreError:  # a server's
            raise
        except OSError as error:
            raise StoreError(
                f"the {self.noun} {path} cannot be read: {error.strerror}", "check its permissions"
            ) from None
        try:
            return self._parsed(data, path)
        except ValueError as error:
            what = str(error)
            shown = what if len(what) <= _MOST_SHOWN else f"{what[:_MOST_SHOWN]}..."
            raise StoreError(f"{path} is not a {self.noun}: {shown}", self.remedy) from None

    def write(self, path: AnyPath, document: Mapping[str, Any]) -> None:
        """Write a file, atomically; an existing one is replaced.

        Parameters
        ----------
        path : Path or ObjectPath
            Its name ends in ``.json``.
        document : mapping
            All keys but ``format``, ``format_version`` and the hash.

        Raises
        ------
        UsageError
            The path cannot be that of such a file.
        TypeError, ValueError, RecursionError
            The document is not JSON data, or could not be read again.
        """
        if path.suffix != SUFFIX:
            raise UsageError(
                f"{path} cannot hold a {self.noun}", f"give a name that ends in {SUFFIX}"
            )
        if isinstance(path, Path) and not path.parent.is_dir():
            raise UsageError(f"{path.parent} is not a folder", "create it, or name another path")
        complete = with_hash({"format": self.name, "format_version": self.version, **document})
        data = (json.dumps(complete, indent=1, allow_nan=False) + "\n").encode()
        self._parsed(data, path)  # nothing is written that could not be read
        if isinstance(path, ObjectPath):
            path.write([data])
            return
        with (
            full_disk_named(path.parent),
            tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=path.parent) as aside,
        ):
            write_parts(path, [data], Path(aside))

    def _parsed(self, data: bytes, where: AnyPath) -> dict[str, Any]:
        """Parse the bytes of a file; raise `ValueError` if something is wrong with them."""
        document = _json(data)
        if not isinstance(document, dict) or document.get("format") != self.name:
            raise ValueError(f'it is not an object with "format": "{self.name}"')
        # The version first: a newer format may have changed the rest.
        self._check_version(document.get("format_version"), where)
        try:
            document = without_hash(document)
        except ValueError as error:
            raise CorruptStoreError(
                f"{where} is damaged, or was edited: {error}",
                f'restore or save it again; if you edited it, remove its "{HASH_KEY}"',
            ) from None
        self.check(document)
        return document

    def _check_version(self, version: Any, where: AnyPath) -> None:
        pattern = r"([0-9]{1,9})\.([0-9]{1,9})"
        match = re.fullmatch(pattern, version) if isinstance(version, str) else None
        if match is None:
            raise ValueError('"format_version" is not like "1.0"')
        major, minor = (int(part) for part in self.version.split("."))
        if int(match[1]) != major or int(match[2]) > minor:
            raise FormatVersionError(
                f"{where} has format {version}, this freqprep reads up to {self.version}",
                "install a newer freqprep",
            )


def _json(data: bytes) -> Any:
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    try:
        return parse(data)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
