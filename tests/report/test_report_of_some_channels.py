"""The report of a split that stores few channels is drawn, and shows no NaN."""

import re

import pytest
import subset

import freqprep
from freqprep.engines import Workers
from freqprep.importance.request import StatsRequest, compute_stats
from freqprep.report import write_plots, write_report
from freqprep.spectrum.channels import published

pytest.importorskip("matplotlib")


@pytest.mark.parametrize(
    "kept",
    [(64,), (0, 191), published("paper-6").indices],
    ids=["one", "two", "six"],
)
def test_few_channels_are_drawn(coarse_store, tmp_path, kept):
    store = subset.keep(coarse_store, tmp_path / "few.zarr", kept)
    split = freqprep.open_store(store)["val"]
    result = compute_stats(split, StatsRequest(len(kept)), workers=Workers(1))
    write_report(result, split, tmp_path / "report.html")
    if len(kept) == 2:  # the same figures again
        assert write_plots(result, split, tmp_path / "plots")
    page = (tmp_path / "report.html").read_text()
    shown = re.sub(r"<script.*?</script>|<style.*?</style>|base64,[^\"']*", "", page, flags=re.S)
    assert not re.search(r"\bnan\b|\binf\b", shown, re.IGNORECASE)
    assert f"{len(kept)} of {len(kept)}" in shown
