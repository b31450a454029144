"""The forms of large splits at a few hundred rows."""

import tempfile
from pathlib import Path

import pytest

from freqprep.convert import publication
from freqprep.store import array_writer, schema, shard_table

MOST_SIMPLE_ROWS, SHARDS_PER_PART, CHUNK_ROWS = 100, 4, 256

PROGRAM = f"""
from freqprep.convert import publication
from freqprep.store import array_writer, schema, shard_table
schema.MOST_SIMPLE_ROWS = {MOST_SIMPLE_ROWS}
array_writer.SHARDS_PER_PART = shard_table.SHARDS_PER_PART = {SHARDS_PER_PART}
array_writer.SMALL_CHUNK_ROWS = {CHUNK_ROWS}
publication._SHARDS_AT_ONCE = 3
from freqprep_cli.main import main
main()
"""
"""The command, for `interruptions.under_way`."""


def lower_limits(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Give splits of more than a hundred rows the large forms; copies of arrays go to a folder."""
    patch.setattr(schema, "MOST_SIMPLE_ROWS", MOST_SIMPLE_ROWS)
    for module in (array_writer, shard_table):
        patch.setattr(module, "SHARDS_PER_PART", SHARDS_PER_PART)
    patch.setattr(array_writer, "SMALL_CHUNK_ROWS", CHUNK_ROWS)
    patch.setattr(publication, "_SHARDS_AT_ONCE", 3)
    folder.mkdir(exist_ok=True)
    patch.setattr(tempfile, "tempdir", str(folder))
