"""What a conversion writes beside the store: a log, and the images it rejected.

Neither is part of the store: times, hosts and paths must not decide its bytes.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.store.layout import beside
from freqprep.store.reader import Split


def log_path(store: Path) -> Path:
    """The log beside a store, JSON lines."""
    return beside(store, ".log")


def rejects_path(store: Path, split: str) -> Path:
    """The list of a split's rejected images beside a store, JSON lines."""
    return beside(store, f".rejected-{split}.jsonl")


def append_log(store: Path, entry: Mapping[str, Any]) -> None:
    """Add one line to the log."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with open(log_path(store), "a", encoding="utf-8") as file:
        file.write(json.dumps({"time": now, **entry}) + "\n")


def paths_of(store: Path, split: Split) -> dict[str, str]:
    """Paths that the user named for a split's conversion, by option, as the log has them.

    They are ``annotations`` and ``images``, relative to the source or absolute; none where the
    source was found by itself, or where the log is not there.
    """
    try:
        lines = log_path(store).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # a line that was not written to its end
            continue
        if isinstance(entry, dict) and entry.get("content_id") == split.content_id:
            named = entry.get("named_paths")
            options = named if isinstance(named, dict) else {}
            known = {key: options.get(key) for key in ("annotations", "images")}
            return {key: path for key, path in known.items() if isinstance(path, str)}
    return {}


def rejected_images(split: Split) -> list[dict[str, Any]]:
    """Each rejected image of a split: row, key, reason, detail and bytes, in row order."""
    defects, sizes = split.ragged("defect"), split.array("source_bytes")
    rejects = []
    for row in np.flatnonzero(~split.valid).tolist():
        reason, _, detail = defects.bytes_at(row).decode("utf-8", "replace").partition(": ")
        key = split.keys[row].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        rejects.append(
            {
                "row": row,
                "key": key,
                "reason": reason,
                "detail": detail,
                "bytes": int(sizes[row]),
            }
        )
    return rejects


def noted_images(split: Split) -> list[dict[str, Any]]:
    """Each image converted with a remark (the first frame of an animation): row, key, note."""
    notes = split.ragged("note")
    rows = np.flatnonzero(np.diff(notes.offsets)).tolist()
    texts = (notes.bytes_at(row).decode("utf-8", "replace") for row in rows)
    return [
        {"row": row, "key": ascii(split.keys[row])[1:-1], "note": text}
        for row, text in zip(rows, texts, strict=True)
    ]


def write_rejects(store: Path, split: Split) -> None:
    """Write a split's rejected images beside the store; without any, no file is left."""
    path = rejects_path(store, split.attributes.split)
    lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in rejected_images(split)]
    if not lines:
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(f"{path.name}.tmp")
    aside.write_text("".join(lines), encoding="utf-8")
    os.replace(aside, path)
