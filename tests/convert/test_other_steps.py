"""Conversions at steps and levels of one's own: resumed, retried, estimated, compared."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest
import subset
import synthetic
from test_convert_resume import begin, repair

import freqprep
from freqprep.convert.estimate import estimate
from freqprep.convert.request import Request
from freqprep.convert.verify_source import compare_with_source
from freqprep.errors import UsageError
from freqprep.spectrum.channels import NAMES

OPTIONS = {"precision": subset.MIXED, "level": 17}


def test_an_interrupted_conversion_ends_with_the_same_bytes(
    monkeypatch, source, coarse_store, tmp_path
):
    target = tmp_path / "out.zarr"
    begin(monkeypatch, source, target, shards=1, **OPTIONS)
    synthetic.make(source, target, resume=True, **OPTIONS)
    assert synthetic.contents(target) == synthetic.contents(coarse_store)


@pytest.mark.parametrize("finished", [True, False])
def test_resuming_at_other_steps_or_another_level_is_refused(
    monkeypatch, source, coarse_store, tmp_path, finished
):
    target = tmp_path / "out.zarr"
    if finished:
        shutil.copytree(coarse_store, target)
    else:
        begin(monkeypatch, source, target, **OPTIONS)
    before = synthetic.contents(target)
    steps = list(subset.MIXED.steps)
    steps[100] *= 2
    other = dataclasses.replace(subset.MIXED, steps=tuple(steps))
    again = f"other steps of 1 of 192 channels, the first {NAMES[100]}: {steps[100]:g} instead"
    for changes, message in (
        ({"level": 3}, "another level: 17, now 3"),
        ({"precision": other}, again),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            synthetic.make(source, target, resume=True, **OPTIONS | changes)
    assert synthetic.contents(target) == before


def test_overwriting_one_split_leaves_versions_side_by_side(source, coarse_store, store, tmp_path):
    target = Path(shutil.copytree(coarse_store, tmp_path / "out.zarr"))
    synthetic.make(source, target, split="val", overwrite=True)
    versions = {
        name: split.manifest.attributes["format_version"]
        for name, split in freqprep.open_store(target).items()
    }
    assert versions == {"train": "1.1", "val": "1.0"}
    assert synthetic.contents(target / "val") == synthetic.contents(store / "val")
    assert (target / "zarr.json").read_bytes() == (store / "zarr.json").read_bytes()


def test_a_retry_is_a_conversion_of_the_repaired(source, coarse_store, tmp_path):
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    target = Path(shutil.copytree(coarse_store, tmp_path / "out.zarr"))
    repair(folder)
    with pytest.raises(UsageError, match="begun with another"):
        synthetic.make(folder, target, retry_rejected=True)
    synthetic.make(folder, target, retry_rejected=True, **OPTIONS)
    fresh = synthetic.make(folder, tmp_path / "fresh.zarr", **OPTIONS)
    assert synthetic.contents(target) == synthetic.contents(fresh)


@pytest.mark.parametrize("option", ["retry_rejected", "resume"])
def test_a_packed_split_is_not_converted_further(source, subset_store, tmp_path, option):
    target = Path(shutil.copytree(subset_store, tmp_path / "out.zarr"))
    before = synthetic.contents(target)
    with pytest.raises(UsageError, match="the split train was packed from another store"):
        synthetic.make(source, target, **OPTIONS | {"level": 3, option: True})
    assert synthetic.contents(target) == before


@pytest.mark.parametrize("fixture", ["coarse_store", "fine_store", "subset_store"])
def test_the_codes_of_the_stored_channels_are_those_of_the_source(
    fixture, request, source, tmp_path
):
    store = request.getfixturevalue(fixture)
    assert compare_with_source(store, source, 10_000) == (184, [])
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    key = freqprep.open_store(store)["val"].keys[0]
    (folder / "val" / key).write_bytes(synthetic.encoded(synthetic.pixels(999), quality=90))
    _, problems = compare_with_source(store, folder, 10_000)
    (found,) = (problem for problem in problems if problem.where)
    assert key in found.where


@pytest.mark.parametrize("options", [OPTIONS, {"precision": subset.FINE}, {"level": 9}], ids=str)
def test_a_dry_run_is_near_the_truth(source, tmp_path, options):
    target = tmp_path / "out.zarr"
    request = Request("imagefolder", source, target, size=32, jobs=1, **options)
    stated = estimate(request)
    assert not target.exists()
    synthetic.make(source, target, **options)
    for name in freqprep.open_store(target):
        true = sum(map(len, synthetic.contents(target / name).values()))
        assert true / 1.5 < stated[name].stored_bytes < true * 1.5
