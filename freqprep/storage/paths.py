"""Places of stores and sources: folders, prefixes of buckets, and web addresses."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from freqprep.errors import UsageError
from freqprep.storage.disk import FileEntry
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.regular_file import open_regular

AnyPath: TypeAlias = Path | ObjectPath
"""A folder or file, or a prefix or object of an object store or web server."""

_SCHEMES = ("s3", "gs", "az", "http", "https")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_BUCKET = re.compile(r"((?i:s3|gs|az)://)([^/]+)/*")
_BROKEN_URL = re.compile(rf"({'|'.join(_SCHEMES)}):/[^/]")


def as_path(text: str | Path | ObjectPath) -> AnyPath:
    """Return the place that a text names.

    Parameters
    ----------
    text : str, Path or ObjectPath
        Path, or URL: ``s3://bucket/key``, ``gs://bucket/key``, ``az://container/key``,
        ``https://host/path``, ``file:///path``.

    Returns
    -------
    Path or ObjectPath

    Raises
    ------
    UsageError
        A scheme that is not known, a URL without a key, or one that went through `pathlib.Path`,
        which turns ``s3://`` into ``s3:/``.
    """
    if isinstance(text, ObjectPath):
        return text
    if isinstance(text, Path):
        if is_broken_url(text):
            raise UsageError(
                f"{str(text)!r} is a URL that pathlib.Path has changed", "give the URL as a str"
            )
        return local_path(text)
    if not isinstance(text, str):
        raise UsageError(f"{text!r} is no path", "give a str, a pathlib.Path or a URL")
    found = _URL.match(text)
    if found is None:
        if _BROKEN_URL.match(text):
            raise UsageError(
                f"{text} is a URL with one slash", f"write {text.replace(':/', '://', 1)}"
            )
        return local_path(text)
    scheme = found[1].lower()
    if scheme == "file":
        return _local(text)
    if scheme not in _SCHEMES:
        raise UsageError(
            f"{text}: nothing is read by {scheme}://",
            f"name a path, or a URL of {', '.join(_SCHEMES)} or file",
        )
    return _remote(text, scheme)


def local_path(path: str | Path) -> Path:
    """Return a path of this machine, in which ``~`` at the start is the home folder.

    A shell leaves it to programs in ``--cache=~/folder``, and Python everywhere: without this a
    folder named ``~`` would be made.
    """
    place = Path(path)
    return place.expanduser() if place.parts[:1] == ("~",) else place


def as_source(text: str | Path | ObjectPath) -> AnyPath:
    """Return the place of a source that a text names: as `as_path`, but also a whole bucket."""
    if re.match("https?://[^?#]*[?#]", str(text), re.IGNORECASE):
        raise UsageError(
            f"{re.split('[?#]', str(text))[0]}: a source on a web server has no ? or # in its"
            " address",
            "signed URLs are not supported: copy the files to a bucket or to this machine; name"
            " files that are public by {000..146}",
        )
    found = _BUCKET.fullmatch(str(text))
    return ObjectPath(found[1].lower() + found[2], "") if found else as_path(text)


def take_paths(request: object, read: Callable[[str | Path], AnyPath], *names: str) -> None:
    """Replace texts and paths in fields of a frozen request by the places that they name.

    Parameters
    ----------
    request : object
        A frozen dataclass, in its ``__post_init__``.
    read : callable
        `as_path`, `as_source`, or `local_path` for what is only a file of this machine.
    *names : str
        The fields.

    Raises
    ------
    UsageError
        As ``read``; or a field is neither a text, a path nor None.
    """
    for name in names:
        value = getattr(request, name)
        if isinstance(value, str | Path):
            object.__setattr__(request, name, read(value))
        elif value is not None and not isinstance(value, ObjectPath):
            raise UsageError(
                f"{name} is {value!r}, which is no path", "give a str, a pathlib.Path or a URL"
            )


def _local(text: str) -> Path:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise UsageError(f"{text} does not name a file of this machine", "write file:///path")
    return Path(unquote(parts.path))


def _remote(text: str, scheme: str) -> ObjectPath:
    host, _, key = text[len(scheme) + 3 :].partition("/")
    if "@" in host:
        raise UsageError(
            f"a {scheme} URL with a user or password before {host.rpartition('@')[2]}",
            "leave them out, and give credentials by environment variables: they would stand in"
            " logs",
        )
    if scheme in ("http", "https"):
        if "?" in text or "#" in text:
            raise UsageError(f"{text}: a store's address has no ? or #", "name the folder alone")
        key = unquote(key)
    key = key.strip("/")
    if not host or (not key and scheme not in ("http", "https")):
        raise UsageError(f"{text} names no store in a bucket", f"write {scheme}://bucket/name")
    if any(part in ("", ".", "..") for part in key.split("/") if key):
        raise UsageError(f"{text} has an empty, . or .. part", "write the key without it")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} is not UTF-8, as keys of buckets are") from None
    return ObjectPath(f"{scheme}://{host}", key)


def is_broken_url(path: Path) -> bool:
    """Return whether a path was a URL before `pathlib.Path` took one slash away."""
    return _BROKEN_URL.match(str(path)) is not None


def folder_names(path: AnyPath) -> list[str]:
    """Return the names of the folders directly inside a place, sorted."""
    if isinstance(path, ObjectPath):
        return path.folders()
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir())


def entry_names(path: AnyPath) -> list[str]:
    """Return the names of all that is directly inside a place, sorted."""
    return path.entries() if isinstance(path, ObjectPath) else sorted(os.listdir(path))


def walk_files(path: AnyPath) -> Iterator[str]:
    """Yield the relative paths of all files below a place; links are not followed."""
    if isinstance(path, ObjectPath):
        yield from (relative for relative, _ in path.files())
        return
    for parent, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            yield (Path(parent) / name).relative_to(path).as_posix()


def remove(path: AnyPath) -> None:
    """Remove a file or an object, if it is there."""
    if isinstance(path, ObjectPath):
        path.delete()
    else:
        path.unlink(missing_ok=True)


def hash_file(path: AnyPath) -> FileEntry:
    """Return length and SHA-256 of a file, read in pieces, or of an object.

    Raises
    ------
    CorruptStoreError
        It is a pipe, a device or a folder.
    """
    if isinstance(path, ObjectPath):
        return FileEntry.of(path.read_bytes())
    with open(open_regular(path), "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileEntry(file.tell(), digest.hexdigest())


def absolute(path: AnyPath) -> str:
    """Return the absolute path, links resolved, or the URL."""
    return str(path.resolve()) if isinstance(path, Path) else str(path)


def local_part(store: AnyPath) -> Path:
    """Return the folder whose disk a store being written fills: temporary files, for a bucket."""
    return store if isinstance(store, Path) else Path(tempfile.gettempdir())
