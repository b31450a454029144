"""Requests of the Python API take a path as a text; what is no path is a named error."""

from pathlib import Path

import pytest

import freqprep
from freqprep.convert import Request, convert
from freqprep.convert.repair import RepairRequest, repair
from freqprep.errors import UsageError
from freqprep.importance.request import StatsRequest
from freqprep.pack import PackRequest, pack


def test_texts_are_paths_or_urls(source, tmp_path):
    made, packed = str(tmp_path / "out.zarr"), f"file://{tmp_path}/packed.zarr"
    convert(Request("imagefolder", str(source), made, size=16, jobs=1))
    pack(PackRequest(made, packed, channels="paper-6", jobs=1))
    assert not repair(RepairRequest(packed, str(source))).repairs
    assert len(freqprep.open_store(packed)["train"].attributes.channels) == 6
    assert Request("imagefolder", "s3://bucket", "s3://bucket/out.zarr").store.is_dir
    assert StatsRequest(4, scores="scores.json").scores == Path("scores.json")


@pytest.mark.parametrize("wrong", [3, b"folder", ["folder"], True])
def test_what_is_no_path_is_refused_by_the_name_of_its_field(tmp_path, wrong):
    for make, field in (
        (lambda: Request("imagefolder", wrong, tmp_path), "source"),
        (lambda: Request("imagefolder", tmp_path, wrong), "store"),
        (lambda: PackRequest(tmp_path, wrong), "target"),
        (lambda: RepairRequest(tmp_path, wrong), "source"),
        (lambda: StatsRequest(4, network=wrong), "network"),
    ):
        with pytest.raises(UsageError, match=f"^{field} is .* no path"):
            make()


def test_a_training_takes_texts(tmp_path):
    pytest.importorskip("torch")
    from freqprep.training.recipe import PRESETS
    from freqprep.training.request import TrainingRequest

    recipe = next(iter(PRESETS["short"].values()))
    request = TrainingRequest(str(tmp_path), str(tmp_path / "run"), "resnet50", recipe)
    assert (request.store, request.run) == (tmp_path, tmp_path / "run")
    with pytest.raises(UsageError, match="run is 3"):
        TrainingRequest(str(tmp_path), 3, "resnet50", recipe)
