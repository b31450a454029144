"""Rejected images of a split, and their list beside the store."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from freqprep.storage.disk import replace_file
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import AnyPath
from freqprep.store.layout import beside
from freqprep.store.reader import Split


def rejects_path(store: AnyPath, split: str) -> AnyPath:
    """Return the path of a split's list of rejected images beside a store (JSON lines)."""
    return beside(store, f".rejected-{split}.jsonl")


def rejected_images(split: Split) -> list[dict[str, Any]]:
    """Return row, key, reason, detail and bytes of each rejected image, in row order."""
    sizes, rejects = split.arrays.in_parts("source_bytes"), []
    for row in np.flatnonzero(~split.valid).tolist():
        reason, _, detail = split.defect(row).partition(": ")
        rejects.append(
            {
                "row": row,
                "key": _json_text(split.keys[row]),
                "reason": reason,
                "detail": detail,
                "bytes": int(sizes.rows(row, row + 1)[0]),
            }
        )
    return rejects


def noted_images(split: Split) -> list[dict[str, Any]]:
    """Return row, key and note of each image with a note, such as the first frame of a GIF."""
    first, noted = 0, []
    for notes in split.arrays.texts("note").blocks():
        for index in np.flatnonzero(np.diff(notes.offsets)).tolist():
            key = _json_text(split.keys[first + index])
            text = notes.bytes_at(index).decode("utf-8", "replace")
            noted.append({"row": first + index, "key": key, "note": text})
        first += len(notes)
    return noted


def _json_text(key: str) -> str:
    r"""Return a key for a JSON document, where bytes that are not UTF-8 are ``\xNN``."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_rejects(store: AnyPath, split: Split) -> None:
    """Write the list of a split's rejected images beside the store; remove it if there are none."""
    path = rejects_path(store, split.attributes.split)
    lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in rejected_images(split)]
    data = "".join(lines).encode("utf-8")
    if isinstance(path, ObjectPath):
        if data:
            path.write([data])
        else:
            path.delete()
        return
    if not data:
        path.unlink(missing_ok=True)
        return
    replace_file(path, data)
