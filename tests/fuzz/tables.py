"""Mutants of tables: footers, pages, and whole tables of other columns and notes."""

from __future__ import annotations

import io
import json
import random
from typing import Any

from fuzz.mutation import mutant, mutant_document

_END = b"PAR1"
_HOSTILE: tuple[Any, ...] = (
    None, "", "cat", "\0", b"", b"\xff\xd8\xff", -1, 0, 3, 2**31, 2**63 - 1, -(2**63), 1.5,
    float("nan"), True, [], [None], [0, 1], {"bytes": b""}, {"bytes": None, "path": "x"},
    {"path": "../x"}, {"bytes": b"x", "path": "/etc/passwd"}, [[0.0, 0.0, 1.0, 1.0]],
    {"bbox": [[1.0, 2.0, 3.0]], "categories": [1]}, "a" * 2000,
)  # fmt: skip


def parquet(data: bytes, chance: random.Random) -> bytes:
    """Change a table: its footer, of the same or a stated length; its pages; or what it says."""
    kind = chance.random()
    if kind < 0.45:
        return _footer(data, chance)
    if kind < 0.55:
        body = mutant(data[4 : -_footer_bytes(data) - 8], chance)
        return data[:4] + body + data[-_footer_bytes(data) - 8 :]
    if kind < 0.6:
        return mutant(data, chance)
    return _rewritten(data, chance)


def _footer_bytes(data: bytes) -> int:
    return int.from_bytes(data[-8:-4], "little")


def _footer(data: bytes, chance: random.Random) -> bytes:
    """Change bytes of the footer; the length behind it is right."""
    length = _footer_bytes(data)
    footer = mutant(data[-length - 8 : -8], chance)
    stated = len(footer) if chance.random() < 0.95 else chance.choice((0, 2**31 - 1, 2**32 - 1))
    return data[: -length - 8] + footer + stated.to_bytes(4, "little") + _END


def _rewritten(data: bytes, chance: random.Random) -> bytes:
    """Write the table anew with other values, columns, notes, groups or a codec."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    notes = table.schema.metadata or {}
    if chance.random() < 0.5 and b"huggingface" in notes:
        text = mutant_document(json.loads(notes[b"huggingface"]), chance)
        table = table.replace_schema_metadata({"huggingface": json.dumps(text)})
    for _ in range(chance.choice((0, 1, 1, 2))):
        table = _other_column(table, chance)
    out = io.BytesIO()
    try:
        pq.write_table(
            table,
            out,
            row_group_size=chance.choice((1, 2, 1000)),
            compression=chance.choice(("none", "snappy", "zstd", "gzip")),
            use_dictionary=chance.random() < 0.5,
            data_page_version=chance.choice(("1.0", "2.0")),
            write_page_checksum=chance.random() < 0.5,
        )
    except (pa.ArrowException, ValueError, TypeError):
        return _footer(data, chance)
    return out.getvalue()


def _other_column(table: Any, chance: random.Random) -> Any:
    """Replace, repeat, remove or rename a column; values are such as JSON's."""
    import pyarrow as pa

    at, kind = chance.randrange(table.num_columns), chance.random()
    names = [*table.column_names, "image", "label", "objects", "split", "", "\0", "image_id"]
    name = table.column_names[at] if chance.random() < 0.7 else chance.choice(names)
    if kind < 0.15 and table.num_columns > 1:
        return table.remove_column(at)
    if kind < 0.3:
        return table.append_column(name, table.column(at))
    if kind < 0.45:
        return table.set_column(at, name, table.column(at))
    one = chance.choice(_HOSTILE)
    values = [one if chance.random() < 0.6 else None for _ in range(table.num_rows)]
    try:
        column = pa.array(values)
    except (pa.ArrowException, OverflowError):
        return table
    return table.set_column(at, name, column)
