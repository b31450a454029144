"""A store in a bucket that is not finished."""

from pathlib import Path

import synthetic
from interruptions import stopped_after

from freqprep.convert import shard_runs as conversion

KEY = "some/out.zarr"


def begin(monkeypatch, source: Path, place, shards: int, **options) -> None:
    """Start a conversion and stop it after so many shards."""
    with stopped_after(monkeypatch, conversion, "convert_shard", shards):
        synthetic.make(source, place, **options)
