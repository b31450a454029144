"""What a worker of a cluster does: check that it can do the work, and do it.

A worker gets bytes and answers with bytes, so that neither Dask nor Ray has to load what is in
them.
"""

from __future__ import annotations

import functools
import importlib.metadata
import pickle
import platform
import secrets
import time
from typing import Any, NamedTuple

from freqprep.engines.local import on_one_core
from freqprep.errors import FreqprepError
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath, as_path

_DECIDING = ("freqprep", "google-crc32c", "numcodecs", "numpy", "pillow", "simplejpeg", "zarr")

CHECKED, DONE, FAILED, UNFIT, MISSING = "checked", "done", "failed", "unfit", "missing"
"""States of an answer."""

Versions = tuple[tuple[str, str], ...]


class Needs(NamedTuple):
    """What a worker must have. Plain values: another version of freqprep must understand them.

    Attributes
    ----------
    versions : tuple of (str, str)
        Versions of Python and of the libraries that decide what is computed.
    reads : tuple of str
        Files and folders that must be there; paths or URLs.
    writes : str
        Folder to write files in, or a URL; empty if none are written.
    nonce : str
        Name of a file in that folder, just written by the main process.
    """

    versions: Versions
    reads: tuple[str, ...]
    writes: str
    nonce: str


Answer = tuple[str, str, Any]
"""State, host of the worker, and: a text if `UNFIT` or `MISSING`, else pickled bytes."""


def versions() -> Versions:
    """Return the versions that must be the same everywhere: they decide bytes, or pickles."""
    found = [("python", ".".join(platform.python_version_tuple()[:2]))]
    return (*found, *((name, importlib.metadata.version(name)) for name in _DECIDING))


def perform(needs: tuple[Any, ...], work: bytes) -> Answer:
    """Check a worker, and apply a function to tasks.

    Parameters
    ----------
    needs : Needs
    work : bytes
        Pickled function and tasks; empty to check the worker alone.

    Returns
    -------
    Answer
        With the pickled pair of results and seconds (`DONE`) or error (`FAILED`).
    """
    host = platform.node()
    if lacking := lacks(Needs(*needs)):
        return UNFIT, host, lacking
    if not work:
        return CHECKED, host, b""
    try:
        function, tasks = pickle.loads(work)
        began = time.monotonic()
        results = [on_one_core(function, task) for task in tasks]
        return DONE, host, pickle.dumps((results, time.monotonic() - began))
    except Exception as error:  # for the main process, whatever it is
        return FAILED, host, pickle.dumps(error)


@functools.lru_cache(maxsize=16)
def lacks(needs: Needs) -> str:
    """Describe what this process lacks for the work; empty if nothing. Asked once a run."""
    here = dict(versions())
    for name, version in needs.versions:
        if here.get(name) != version:
            return f"it has {name} {here.get(name)}, this process {version}"
    try:
        for path in needs.reads:
            if missing := _cannot_read(as_path(path)):
                return missing
        return _cannot_write(as_path(needs.writes), needs.nonce) if needs.writes else ""
    except (FreqprepError, OSError) as error:
        return f"it has no access: {error}"


def _cannot_read(path: AnyPath) -> str:
    if not isinstance(path, ObjectPath):
        return "" if path.exists() else f"it does not see {path}"
    try:
        path.read_range(0, 1)
    except FileNotFoundError:
        return f"it does not see the bucket's {path}"
    except EOFError:
        pass  # an empty object
    return ""


def _cannot_write(folder: AnyPath, nonce: str) -> str:
    mine = f"{nonce}-{secrets.token_hex(4)}"
    if isinstance(folder, ObjectPath):
        if not folder.is_file():
            return f"it does not see the bucket of the store, {folder.parent.parent}"
        beside = folder.with_name(f"{folder.name}-{mine}")
        beside.create(b"")
        beside.delete()
        return ""
    if not (folder / nonce).is_file():
        return f"it does not see the folder of the store, {folder.parent}"
    try:
        (folder / mine).touch()
        (folder / mine).unlink()
    except OSError as error:
        return f"it cannot write to {folder}: {error.strerror}"
    return ""
