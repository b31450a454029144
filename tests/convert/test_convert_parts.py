"""A conversion in parts gives the store of a conversion at once, whatever happens to the parts."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest
import synthetic
from in_threads import together
from interruptions import under_way, wait_until

import freqprep
import freqprep.convert.run
from freqprep.convert import parts
from freqprep.convert.parts import convert_part, finalize, plan
from freqprep.convert.request import Request
from freqprep.errors import SplitExistsError, StoreError, UsageError
from freqprep.store.part import Part
from freqprep.store.plan import load_plan

IMAGES = {"train": 600, "val": 140}
SHARDS = {"train": 5, "val": 2}


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    return synthetic.image_folder(tmp_path_factory.mktemp("many"), IMAGES, corrupt=5)


@pytest.fixture(scope="module")
def expected(many, tmp_path_factory) -> str:
    return synthetic.digest(synthetic.make(many, tmp_path_factory.mktemp("whole") / "out.zarr"))


@pytest.fixture
def request_(many, tmp_path) -> Request:
    return Request("imagefolder", many, tmp_path / "out.zarr", size=32, jobs=1)


def parts_of(request: Request, *words: str) -> list[str | Path]:
    return ["convert", "imagefolder", request.source, request.store, "--size", "32", *words]


def test_parts_at_the_same_time_and_one_of_them_twice(request_, expected):
    assert plan(request_) == SHARDS
    parts = [Part(3, 3), Part(1, 3), Part(2, 3), Part(2, 3)]
    together(*(lambda part=part: convert_part(request_, part) for part in parts))
    finished = finalize(request_)
    assert {name: summary.images for name, summary in finished.items()} == IMAGES
    assert synthetic.digest(request_.store) == expected
    assert not list(request_.store.glob(".*"))


def test_shards_that_are_made_are_not_made_again(request_):
    plan(request_)
    assert convert_part(request_, Part(1, 4)) == {"train": 2, "val": 1}
    assert convert_part(request_, Part(1, 4)) == {"train": 0, "val": 0}
    assert convert_part(request_, Part(1, 2)) == {"train": 1, "val": 0}


def test_missing_parts_are_named_and_nothing_is_published(request_, expected):
    plan(request_)
    with pytest.raises(StoreError, match="train lacks 5 of 5 shards; run all parts"):
        finalize(request_)
    for number in (1, 3):
        convert_part(request_, Part(number, 4))
    with pytest.raises(StoreError, match="train lacks 2 of 5 shards: those of --part 2/4, 4/4"):
        finalize(request_)
    assert not list(freqprep.open_store(request_.store))
    for number in (2, 4):
        convert_part(request_, Part(number, 4))
    finalize(request_)
    assert synthetic.digest(request_.store) == expected


def test_what_parts_have_made_is_resumed_without_them(many, request_, expected):
    plan(request_)
    convert_part(request_, Part(2, 3))
    synthetic.make(many, request_.store, resume=True)
    assert synthetic.digest(request_.store) == expected


def test_a_killed_part_is_run_again(request_, expected):
    assert synthetic.freqprep(*parts_of(request_, "--plan")).returncode == 0
    folder = request_.store / ".partial-train"

    def journalled() -> bool:
        return any(path.read_bytes().count(b"\n") for path in folder.glob("journal-part-1-*"))

    with under_way(*parts_of(request_, "--part", "1/2", "--jobs", "2")) as process:
        wait_until(process, journalled)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    for part in ("2/2", "1/2"):
        assert synthetic.freqprep(*parts_of(request_, "--part", part)).returncode == 0
    done = synthetic.freqprep(*parts_of(request_, "--finalize"))
    assert done.returncode == 3, done.stderr  # finished, with rejected images
    assert synthetic.digest(request_.store) == expected
    assert not list(request_.store.glob(".*"))


def test_a_part_that_comes_too_late_or_too_early(request_):
    with pytest.raises(UsageError, match="no planned split; run the same command with --plan"):
        convert_part(request_, Part(1, 2))
    plan(request_)
    with pytest.raises(SplitExistsError):
        plan(request_)
    convert_part(request_, Part(1, 1))
    finalize(request_)
    with pytest.raises(UsageError, match="no planned split"):
        convert_part(request_, Part(1, 1))
    with pytest.raises(UsageError, match="no planned split"):
        finalize(request_)


def test_a_part_at_work_while_the_split_is_resumed_leaves_nothing_behind(
    many, request_, expected, monkeypatch
):
    from freqprep.convert import shard_runs

    plan(request_)
    original = shard_runs.convert_shard

    def finished_meanwhile(task):
        monkeypatch.setattr(shard_runs, "convert_shard", original)
        synthetic.make(many, request_.store, resume=True)
        return original(task)

    monkeypatch.setattr(shard_runs, "convert_shard", finished_meanwhile)
    with pytest.raises(StoreError, match="was finished or resumed by another command"):
        convert_part(request_, Part(1, 2))
    assert synthetic.digest(request_.store) == expected
    assert not list(request_.store.glob(".*"))


def test_a_refused_command_removes_nothing_of_a_part_at_work(request_, expected):
    plan(request_)
    at_work = [folder / "tmp-of-a-part" for folder in request_.store.glob(".partial-*")]
    for folder in at_work:
        folder.mkdir()
    for refused in (plan, freqprep.convert.run.convert):
        with pytest.raises(SplitExistsError, match=r"if parts of it .* still run, let them end"):
            refused(request_)
    assert len(at_work) == 2 and all(folder.is_dir() for folder in at_work)


def test_a_part_of_the_plan_before_writes_nothing_into_the_next_one(
    many, request_, tmp_path, monkeypatch
):
    """Rows of one plan in shards of another would be wrong images under right keys."""
    plan(request_)
    other = dataclasses.replace(request_, seed=1)

    def planned_again_meanwhile(folder: Path):
        monkeypatch.setattr(parts, "load_plan", load_plan)
        loaded = load_plan(folder)
        plan(dataclasses.replace(other, overwrite=True))
        return loaded

    monkeypatch.setattr(parts, "load_plan", planned_again_meanwhile)
    with pytest.raises(StoreError):
        convert_part(request_, Part(1, 1))
    convert_part(other, Part(1, 1))
    finalize(other)
    whole = synthetic.make(many, tmp_path / "whole.zarr", seed=1)
    assert synthetic.digest(request_.store) == synthetic.digest(whole)


def test_a_part_has_the_options_of_the_plan(many, request_):
    plan(request_)
    other = Request("imagefolder", many, request_.store, size=24, jobs=1)
    for run in (lambda: convert_part(other, Part(1, 2)), lambda: finalize(other)):
        with pytest.raises(UsageError, match="another size"):
            run()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--plan", "--part", "1/2"], "--plan and --part are mutually exclusive"),
        (["--finalize", "--dry-run"], "--finalize and --dry-run are mutually exclusive"),
        (["--part", "1/2", "--resume"], "--part 1/2 and --resume are mutually exclusive"),
        (["--part", "1/2", "--overwrite"], "--part 1/2 and --overwrite are mutually exclusive"),
        (["--plan", "--retry-rejected"], "--plan and --retry-rejected are mutually exclusive"),
    ],
)
def test_options_that_exclude_parts(request_, words, text):
    done = synthetic.freqprep(*parts_of(request_, *words))
    assert done.returncode == 2 and text in done.stderr
    assert not request_.store.exists()
