"""Comparing ratios with recorded ones: the verdicts, and that the record fits the benchmarks."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import ratios

RATIO = ratios.Ratio(
    "reading > seconds > theirs", "reading > seconds > ours", "lower", 0.1, 2.0, "abc"
)


@pytest.mark.parametrize("worse, sign", [("lower", 1), ("higher", -1)])
def test_a_verdict_follows_the_direction_beyond_the_spread(worse, sign):
    ratio = replace(RATIO, worse=worse)
    assert ratio.verdict(2.0 + 0.19 * sign) == ratio.verdict(2.0 - 0.19 * sign) == ratios.SAME
    assert ratio.verdict(2.0 + 0.21 * sign) == ratios.BETTER
    assert ratio.verdict(2.0 - 0.21 * sign) == ratios.WORSE


@pytest.mark.parametrize(
    "theirs, ours, now",
    [(6.0, 3.0, 2.0), ([8.0, 1.0, 6.0], 3.0, 2.0), (6.0, 0.0, None), (6.0, None, None)],
    ids=["numbers", "the median of several", "over nothing", "not there"],
)
def test_a_ratio_is_one_figure_over_another(theirs, ours, now):
    seconds = {"theirs": theirs} | ({} if ours is None else {"ours": ours})
    (line,) = ratios.compare({"r": RATIO}, {"reading": {"seconds": seconds}})
    assert line.now == now
    assert line.fails == (now is None)


def test_rows_of_a_table_are_found_by_number():
    ratio = replace(RATIO, figure="memory > rows > 1 > 0", over="")
    assert ratio.of({"memory": {"rows": [["a"], [2.5]]}}) == 2.5
    assert ratio.of({"memory": {"rows": [["a"]]}}) is None
    assert ratio.of({"memory": {"rows": None}}) is None


def test_figures_of_any_kind_of_number_are_compared():
    figures = {1: (np.int64(6), np.float32(3.0)), "theirs": [np.uint8(4), 2]}
    assert ratios.as_in_json(figures) == {"1": [6, 3.0], "theirs": [4, 2]}
    with pytest.raises(TypeError):
        ratios.as_in_json(object())


def test_an_error_of_one_benchmark_does_not_cost_the_others(monkeypatch, tmp_path, capsys):
    def run(name):
        return {"packing": lambda data, folder: {"level": np.int64(17)}}[name]

    words = ["benchmarks", "rows", "packing", "--json", str(tmp_path / "figures.json")]
    monkeypatch.setattr(benchmarks, "_benchmark", run)
    monkeypatch.setattr(benchmarks, "DATA", tmp_path)
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit, match="ended with an error, above: rows"):
        benchmarks.main()
    assert "KeyError: 'rows'" in capsys.readouterr().err
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["rows"] is None and figures["packing"] == {"level": 17}


def test_what_is_worse_once_is_measured_again():
    recorded = {name: replace(RATIO, figure=f"{name} > x", over="") for name in "abcd"}
    first = ratios.compare(recorded, {"a": {"x": 1.0}, "b": {"x": 1.1}, "c": {"x": 2.0}, "d": {}})
    assert ratios.worse_benchmarks(first) == ["a", "b"]
    second = ratios.compare(recorded, {"a": {"x": 1.9}, "b": {"x": 1.2}, "c": {"x": 1.0}})
    lines = ratios.better_of(first, second)
    assert [line.now for line in lines] == [1.9, 1.1, 2.0, None]
    assert [line.fails for line in lines] == [False, True, False, True]


def test_recording_changes_values_of_what_ran_only():
    recorded = {
        "ran": RATIO,
        "new": replace(RATIO, value=None),
        "other": replace(RATIO, figure="x"),
    }
    figures = {"reading": {"seconds": {"theirs": 1.0, "ours": 3.0}}}
    lines = ratios.compare(recorded, figures)
    assert [line.verdict for line in lines] == [ratios.WORSE, ratios.NEW]
    after = ratios.record(recorded, lines, "def")
    assert after["ran"] == after["new"] == replace(RATIO, value=0.3333, commit="def")
    assert after["other"] == recorded["other"]
    assert ratios.from_json(ratios.to_json(after)) == after
    assert [line.verdict for line in ratios.compare(after, figures)] == 2 * [ratios.SAME]


def test_a_ratio_that_went_missing_is_not_recorded_and_fails():
    (line,) = lines = ratios.compare({"r": RATIO}, {"reading": {}})
    assert line.verdict == ratios.MISSING and line.fails
    assert ratios.record({"r": RATIO}, lines, "def") == {"r": RATIO}


def test_the_record_names_benchmarks_that_there_are_and_where_it_was_measured():
    text = benchmarks.RECORDED.read_text()
    recorded = ratios.from_json(text)
    assert set(ratios.benchmarks(recorded)) <= set(benchmarks.BENCHMARKS)
    for name, ratio in recorded.items():
        assert not ratio.over or ratio.over.startswith(f"{ratio.benchmark} > "), name
        assert ratio.worse in ("lower", "higher") and 0 < ratio.spread < 1, name
        assert (ratio.value is None) == (not ratio.commit), name
    assert ratios.to_json(recorded) == text
    assert all(one["command"] for one in json.loads(text).values())
