"""Tables with images in them, as the Hugging Face library and others write them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ("cat", "dog", "eel")


def picture(number: int, size: tuple[int, int] = (24, 16)) -> bytes:
    """A JPEG, another one for each number."""
    out = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 11 % 256, 128)).save(out, "JPEG")
    return out.getvalue()


def cells(numbers: Sequence[int], paths: bool = True) -> pa.Array:
    """Images as the hub has them: bytes and path."""
    rows = [{"bytes": picture(n), "path": f"{n}.jpg" if paths else None} for n in numbers]
    return pa.array(rows, IMAGE)


def class_label(names: Sequence[Any]) -> dict[str, Any]:
    """What the library notes of a column of labels."""
    return {"names": list(names), "_type": "ClassLabel"}


def noted(table: pa.Table, **features: Any) -> pa.Table:
    """A table with the library's note of its columns."""
    text = json.dumps({"info": {"features": {"image": {"_type": "Image"}, **features}}})
    return table.replace_schema_metadata({"huggingface": text})


def write(path: Path, table: pa.Table, **options: Any) -> Path:
    """Write a table, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def labelled(
    path: Path, labels: Sequence[Any], first: int = 0, names: Sequence[str] | None = NAMES, **more
) -> Path:
    """Write a table of images with labels, as the hub has it."""
    images = cells(range(first, first + len(labels)))
    table = pa.table({"image": images, "label": labels})
    return write(path, noted(table, label=class_label(names)) if names else table, **more)
