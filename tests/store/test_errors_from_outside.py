"""A server that fails, or a full disk for temporary files: neither is damage of what was read."""

import large_forms
import pytest
import synthetic

import freqprep
from freqprep.errors import OUTSIDE
from freqprep.storage.paths import as_path
from freqprep.store import object_writer, plan, shard_table, verify
from freqprep.store.plan import load_plan, save_attributes


class Killed(BaseException):
    """Ends a conversion as a kill does."""


def failing(error):
    def fails(*_, **__):
        raise error("not now", "run again")

    return fails


@pytest.mark.parametrize("error", OUTSIDE)
def test_verify_calls_no_shard_damaged(store, error, monkeypatch):
    monkeypatch.setattr(verify, "_decode_shard", failing(error))
    with pytest.raises(error, match="not now"):
        verify.verify(store)


@pytest.mark.parametrize("error", OUTSIDE)
def test_a_plan_is_not_called_damaged(store, tmp_path, error, monkeypatch):
    save_attributes(freqprep.open_store(store)["train"].attributes, tmp_path)
    monkeypatch.setattr(plan, "_open_rows", failing(error))
    with pytest.raises(error, match="not now"):
        load_plan(tmp_path)


@pytest.mark.parametrize("error", OUTSIDE)
def test_a_published_split_is_not_deleted(bucket, error, monkeypatch, tmp_path):
    """A conversion was killed at the very end of publication; the next one's first look fails."""
    large_forms.lower_limits(monkeypatch, tmp_path / "tmp")
    source = synthetic.image_folder(tmp_path / "source", {"train": 300})
    place = as_path(f"{bucket.url}/out.zarr")

    def killed(split):
        for name, _ in list(split.folder.files()):
            if name != "plan.json":
                (split.folder / name).delete()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(object_writer.PartialObjectSplit, "_remove_finished_plan", killed)
        with pytest.raises(Killed):
            synthetic.make(source, place, size=16)
    with monkeypatch.context() as patch:
        patch.setattr(shard_table.ShardTable, "_read_part", failing(error))
        with pytest.raises(error, match="not now"):
            synthetic.make(source, place, size=16, resume=True)
    assert list(freqprep.open_store(place)) == ["train"]
    synthetic.make(source, place, size=16, resume=True)
    assert list(freqprep.open_store(place)) == ["train"]
