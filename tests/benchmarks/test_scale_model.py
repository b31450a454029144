"""The model of docs/scale.md: its laws, and its agreement with what commands really do."""

import dataclasses
import re
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep import engines
from freqprep.convert.planning import plan_split
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.engines.cluster import group_size
from freqprep.importance.collect import collect
from freqprep.spectrum.channels import CHANNELS
from freqprep.spectrum.moments import Moments
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import as_path
from freqprep.store.journal import RowResults, ShardResult
from freqprep.store.manifest import Manifest
from freqprep.store.plan import save_plan, shard_count
from freqprep.store.reader import open_store
from freqprep.store.verify import verify
from freqprep.streaming.order import Order, reads
from freqprep.streaming.shuffling import choose_plan
from tests.benchmarks import scale_tables
from tests.benchmarks.growth import makespan
from tests.benchmarks.scale import SHARD_BYTES, WINDOW_BYTES, _classes, _listing
from tests.benchmarks.scale_model import (
    COMMANDS,
    DataSet,
    Model,
    bytes_of,
    dollars,
)

ROWS = 20_000
MODEL = Model()
repeatable = settings(derandomize=True, deadline=None, max_examples=60)
images = st.integers(1, 10**9)
cores = st.sampled_from([1, 2, 16, 100, 256, 4096])


def plan(rows=ROWS):
    listing, classes = _listing(rows, "imagefolder"), _classes()
    return plan_split(
        Request("imagefolder", Path("photos"), Path("photos.zarr")), listing, classes, classes
    )


@repeatable
@given(images)
def test_shards_are_those_of_a_plan(count):
    assert DataSet("", count).shards == shard_count(count)


def test_a_plan_has_the_bytes_of_the_model(tmp_path):
    save_plan(plan(), tmp_path)
    written = (tmp_path / "plan.npz").stat().st_size
    assert written == pytest.approx(bytes_of(MODEL, DataSet("", ROWS))["plan"], rel=0.02)


def test_a_manifest_has_the_bytes_of_the_model():
    entry = FileEntry(MODEL.costs.shard_bytes, "0" * 64)
    rows, attributes = 1_281_167, plan().attributes.to_dict()
    shards = {f"coefficients/c/{n}/0/0/0": entry for n in range(shard_count(rows))}
    written = len(Manifest(attributes, shards).to_bytes())
    assert written == pytest.approx(bytes_of(MODEL, DataSet("", rows))["manifest"], rel=0.05)


def test_a_line_of_the_journal_is_held_in_the_memory_of_the_model():
    tracemalloc.start()
    try:
        kept = [
            ShardResult(n, "0" * 64, 0, RowResults.empty(128), Moments.zero(CHANNELS))
            for n in range(200)
        ]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    rows = 128 * len(kept)
    assert held / rows == pytest.approx(MODEL.costs.held_journal_row, rel=0.2)


def test_the_order_of_an_epoch_takes_the_memory_of_the_model():
    valid = np.ones(1_000_000, bool)
    shuffle = choose_plan(shard_count(len(valid)), SHARD_BYTES, WINDOW_BYTES)
    tracemalloc.start()
    try:
        reads(Order(valid, shuffle, batch_size=256).batches(1))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / len(valid) == pytest.approx(MODEL.costs.order_row_bytes, rel=0.2)


@repeatable
@given(images, st.sampled_from([1, 2, 7, 64, 1000]), st.floats(0.05, 3), st.floats(0, 1e-3))
def test_a_simulated_cluster_takes_the_time_of_the_model(count, workers, seconds, main):
    count = count % 20_000 + 1
    each = group_size(workers, seconds)
    tasks = -(-count // each)
    hand_out, task = 1 / MODEL.site.tasks_per_second, each * seconds
    simulated = makespan([task] * tasks, workers, hand_out, each * main)
    rounds = -(-tasks // workers)
    least = max(rounds * task, tasks * hand_out + task, tasks * each * main + task)
    # In each round of equal tasks all results come at once, and the next tasks go out in turn.
    most = least + min(tasks, 2 * workers) * (hand_out + each * main) + task
    assert least * (1 - 1e-9) <= simulated <= most * (1 + 1e-9)


@repeatable
@given(st.integers(1, 1000), st.integers(1, 64), st.randoms(use_true_random=False))
def test_no_cluster_is_faster_than_its_cores(tasks, workers, random):
    seconds = [random.uniform(0.5, 1.5) for _ in range(tasks)]
    took = makespan(seconds, workers, 0.0, 0.0)
    assert max(sum(seconds) / workers, max(seconds)) <= took * (1 + 1e-9)
    assert took <= sum(seconds) / workers + max(seconds)


@repeatable
@given(images, st.sampled_from(sorted(COMMANDS)), cores)
def test_ten_times_the_images_take_at_most_little_more_than_ten_times_as_long(count, name, workers):
    few, many = (COMMANDS[name](MODEL, DataSet("", n), workers) for n in (count, 10 * count))
    assert many.seconds <= 10.5 * few.seconds
    assert few.seconds <= many.seconds and few.gets <= many.gets and few.puts <= many.puts


@repeatable
@given(st.integers(2 * 10**7, 10**9), st.sampled_from(sorted(COMMANDS)))
def test_more_cores_are_not_slower_for_large_splits(count, name):
    times = [COMMANDS[name](MODEL, DataSet("", count), n).seconds for n in (1, 16, 256, 4096)]
    assert all(more <= 1.1 * few for few, more in pairwise(times))


def test_requests_are_those_of_the_model(bucket, tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 3 * 128})
    store, data = as_path(f"{bucket.url}/s.zarr"), DataSet("", 3 * 128)

    def asked(work) -> Counter[str]:
        bucket.requests.clear()
        work()
        lines = [line for line in bucket.requests if re.search("/coefficients/c/|journal", line)]
        return Counter(line.split()[0] for line in lines)

    options = Request("imagefolder", source, store, size=32, jobs=1)
    assert asked(lambda: convert(options))["PUT"] == COMMANDS["convert"](MODEL, data, 1).puts
    alone = engines.Workers(1)
    gets = asked(lambda: verify(store, alone))["GET"]
    assert gets == COMMANDS["verify"](MODEL, data, 1).gets
    gets = asked(lambda: collect(open_store(store)["train"], alone))["GET"]
    assert gets == COMMANDS["stats"](MODEL, data, 1).gets


def test_prices_are_those_given():
    estimate = COMMANDS["convert"](MODEL, DataSet("", 1_281_167), 256)
    prices = dataclasses.replace(MODEL.prices, core_hour=1.0, put_1000=1000.0, get_1000=0.0)
    spent = dollars(dataclasses.replace(MODEL, prices=prices), estimate, 256)
    assert spent["cores"] == pytest.approx(256 * estimate.seconds / 3600)
    assert spent["requests"] == estimate.puts == 10_010 + 157


def test_the_page_has_the_tables_of_the_model(capsys):
    assert scale_tables.main(["--check"]) == 0, capsys.readouterr().err


def test_check_fails_where_a_table_is_stale(tmp_path, monkeypatch, capsys):
    stale = tmp_path / "scale.md"
    stale.write_text(scale_tables.PAGE.read_text().replace("ImageNet-21k", "another"))
    monkeypatch.setattr(scale_tables, "PAGE", stale)
    assert scale_tables.main(["--check"]) == 1
    assert capsys.readouterr().err == f"{stale} is not what the model says: run `make docs`\n"
    assert scale_tables.main([]) == 0
    assert scale_tables.main(["--check"]) == 0


def test_other_figures_are_printed(capsys):
    words = ["--images", "5000000", "--workers", "64", "--core-hour", "0.5"]
    assert scale_tables.main(words) == 0
    printed = capsys.readouterr().out
    assert "| yours | 5,000,000 | 39,063 |" in printed and "64 cores" in printed
    assert "ImageNet" not in printed
