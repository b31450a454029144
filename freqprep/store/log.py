"""The log beside a store: one JSON line for each split that was finished.

It is not part of the store, whose bytes must not depend on times, hosts and paths.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from typing import Any

from freqprep.errors import CorruptStoreError
from freqprep.progress import say
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.storage.regular_file import open_to_append, read_regular
from freqprep.storage.strict_json import parse
from freqprep.store.layout import beside
from freqprep.store.reader import Split

_MOST_BYTES = 2**28


def log_path(store: AnyPath) -> AnyPath:
    """Return the path of the log beside a store (JSON lines)."""
    return beside(store, ".log")


def append_log(store: AnyPath, entry: Mapping[str, Any]) -> None:
    """Append one line to the log, with the current time; the caller holds the store's lock."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = (json.dumps({"time": now, **entry}) + "\n").encode()
    path = log_path(store)
    if isinstance(path, ObjectPath):
        _append_to_object(path, line)
        return
    try:
        with open_to_append(path) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = _after(file.read(1), line)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except CorruptStoreError as error:  # the store is whole without it
        say(f"warning: nothing is logged: {error.message}")


def _append_to_object(path: ObjectPath, line: bytes) -> None:
    """Write a small object again with another line, unless another process writes it as well."""
    try:
        before, etag = path.read_with_etag()
    except FileNotFoundError:
        path.create(line)
        return
    path.replace(before + _after(before[-1:], line), etag)


def _after(last: bytes, line: bytes) -> bytes:
    """Return a line to append behind a byte: one that was cut off must not take it with it."""
    return line if last in (b"", b"\n") else b"\n" + line


def options_of(store: AnyPath, split: Split) -> dict[str, str]:
    """Return the source's options that a split was converted with, from the log.

    Returns
    -------
    dict of str to str
        See `freqprep.sources.options.SourceOptions.texts`; empty if none were given or there is
        no log.
    """
    entry = _entry_of(store, split)
    options = entry.get("options", entry.get("named_paths"))  # the latter up to 0.1
    given = options if isinstance(options, dict) else {}
    return {key: text for key, text in given.items() if isinstance(text, str)}


def source_of(store: AnyPath, split: Split) -> str | None:
    """Return the path of what a split was made from, as it was then; None if no log has it."""
    source = _entry_of(store, split).get("source")
    return source if isinstance(source, str) else None


def _entry_of(store: AnyPath, split: Split) -> dict[str, Any]:
    """Return the last line of the log about a split, parsed; empty if there is none."""
    try:
        data = read_regular(log_path(store), _MOST_BYTES)
    except (OSError, CorruptStoreError):
        return {}
    for line in reversed(data.decode("utf-8", "replace").splitlines()):
        try:
            entry = parse(line)
        except ValueError:  # an incomplete line
            continue
        if isinstance(entry, dict) and entry.get("content_id") == split.content_id:
            return entry
    return {}
