"""A damaged plan or journal is refused by --resume, or the store comes out as it should."""

import shutil
from pathlib import Path

import damage
import pytest
import synthetic
from bucket_store import begin

from freqprep.errors import CorruptStoreError, FreqprepError

FILES = ("journal.jsonl", "plan.json", "plan.npz")


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory) -> tuple[Path, Path, dict[str, bytes]]:
    """A source, a store of it of which a shard of three is made, and the finished one's files."""
    folder = tmp_path_factory.mktemp("unfinished")
    source = synthetic.image_folder(folder / "source", {"train": 300}, corrupt=2)
    other = synthetic.image_folder(folder / "other", {"train": 299})
    with pytest.MonkeyPatch.context() as patch:
        begin(patch, source, folder / "out.zarr", 2, size=16)
        begin(patch, other, folder / "other.zarr", 2, size=16)
    whole = synthetic.contents(synthetic.make(source, folder / "whole.zarr", size=16))
    return source, folder, whole


@pytest.mark.parametrize("kind", damage.DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_resumed_conversion_is_right_or_refused(unfinished, tmp_path, name, kind):
    source, folder, whole = unfinished
    for seed in range(5 if kind == "flipped" else 1):
        store, other = (
            Path(shutil.copytree(folder / which, tmp_path / f"{seed}-{which}"))
            for which in ("out.zarr", "other.zarr")
        )
        place = store / ".partial-train" / name
        damage.DAMAGES[kind](place, other / ".partial-train" / name, seed)
        try:
            synthetic.make(source, store, size=16, resume=True)
        except FreqprepError as error:
            assert isinstance(error, CorruptStoreError) and error.remedy
            continue
        assert synthetic.contents(store) == whole
