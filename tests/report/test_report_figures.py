"""The figures show the analysis: outlines, sums, marks, maps; and labels keep apart."""

import dataclasses
import itertools
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from in_threads import together
from PIL import Image

from freqprep.errors import MissingPackageError
from freqprep.importance.ranking import Ranking, by_size
from freqprep.report import style, write_plots, write_report
from freqprep.report.allocation_figure import AllocationFigure
from freqprep.report.figures import every_figure, score_figures
from freqprep.report.heatmaps import (
    BOTH,
    CORRELATION_ORDER,
    ONLY_CHOSEN,
    ONLY_PUBLISHED,
    correlation_map,
    kinds,
    scale_of,
    score_map,
)
from freqprep.report.label_placement import Box, place_labels
from freqprep.report.report_data import ReportData
from freqprep.report.selection_curves import all_curves, draw_curve
from freqprep.report.style import LIGHT, as_png, as_svg
from freqprep.spectrum.channels import CHANNELS, NAMES, PUBLISHED, published


def drawn(figure, prefix: str) -> dict[str, object]:
    """Artists of a figure by id, those that start with a prefix."""
    found = {a.get_gid(): a for a in figure.findobj(lambda a: a.get_gid() is not None)}
    return {name: a for name, a in found.items() if name.startswith(prefix)}


def ranking_of(values: np.ndarray, name: str = "score", unit: str = "bits") -> Ranking:
    return Ranking(name, unit, "a score", values, by_size(values))


def test_a_map_outlines_exactly_the_chosen_channels(report):
    figure = score_map(report.ranking, report.chosen, LIGHT)
    outlines = drawn(figure, "chosen-")
    assert {int(name.split("-")[1]) for name in outlines} == report.chosen
    for name, patch in outlines.items():
        component, frequency = divmod(int(name.split("-")[1]), 64)
        x, y = patch.get_center()
        assert patch.axes is figure.axes[component]
        assert (round(y), round(x)) == divmod(frequency, 8)


def test_a_map_shows_each_value_at_its_place(report):
    for ranking in report.rankings:
        figure = score_map(ranking, report.chosen, LIGHT)
        for component, axes in enumerate(figure.axes[:3]):
            (image,) = axes.images
            part = ranking.values[64 * component :][:64].reshape(8, 8)
            np.testing.assert_array_equal(image.get_array(), part)
            # The first row is at the top.
            assert axes.get_ylim()[0] > axes.get_ylim()[1]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.geomspace(1e3, 1e-3, CHANNELS), "LogNorm"),
        (np.linspace(2, 1, CHANNELS), "Normalize"),
        (np.zeros(CHANNELS), "Normalize"),
        (np.linspace(1, -1, CHANNELS), "Normalize"),
        (np.r_[1000.0, -300.0, np.full(190, 1e-3)], "SymLogNorm"),
        (np.r_[1e300, -1e300, np.zeros(190)], "SymLogNorm"),
        (np.r_[1e-15, np.linspace(1, 2, 191)], "LogNorm"),
    ],
)
def test_scales_fit_the_values(values, scale):
    ranking = ranking_of(values)
    norm, _ = scale_of(ranking)
    assert type(norm).__name__ == scale
    assert norm.vmin < norm.vmax
    assert as_png(lambda palette: score_map(ranking, (0, 64), palette)).startswith(b"\x89PNG")


def test_bright_is_a_high_rank_also_where_low_values_rank_high():
    values = np.linspace(0.1, 0.9, CHANNELS)
    rising = Ranking("zeros", "share", "", values, tuple(range(CHANNELS)))
    for ranking in (ranking_of(values), rising):
        norm, colors = scale_of(ranking)
        first, last = (colors(float(norm(values[ranking.order[place]]))) for place in (0, -1))
        assert sum(first[:3]) > sum(last[:3])


def test_curves_are_sums_along_the_ranking(report):
    curves = {curve.name: curve for curve in all_curves(report)}
    assert [*curves] == ["energy", "bytes", "psnr", "psnr-of-bytes"]
    analysis, order = report.analysis, report.ranking.order
    energy = analysis.rankings["energy"].values
    for count in (1, 2, 5, 24, 100, 191):
        top = list(order[:count])
        share = 100 * sum(energy[k] for k in top) / energy.sum()
        assert curves["energy"].y[count - 1] == pytest.approx(share)
        cost = sum(analysis.channel_bytes[k] for k in top) / 1e3
        assert curves["bytes"].y[count - 1] == pytest.approx(cost)
        place = list(curves["psnr"].x).index(count)
        assert curves["psnr"].y[place] == pytest.approx(analysis.psnr(top))
        assert curves["psnr-of-bytes"].x[place] == pytest.approx(cost)
    assert curves["energy"].y[-1] == pytest.approx(100)
    assert len(curves["bytes"].x) == CHANNELS


def test_marks_are_the_chosen_and_the_published_selections(report):
    curve = next(curve for curve in all_curves(report) if curve.name == "bytes")
    assert [mark.name for mark in curve.marks] == ["chosen", *PUBLISHED]
    assert [mark.chosen for mark in curve.marks] == [True] + [False] * len(PUBLISHED)
    cost = report.analysis.channel_bytes
    for mark, (_, selection) in zip(curve.marks, report.named(), strict=True):
        assert mark.x == len(selection)
        assert mark.y == pytest.approx(cost[list(selection.indices)].sum() / 1e3)


def test_a_published_selection_that_was_chosen_appears_once(report):
    same = dataclasses.replace(report, selection=published("paper-32"))
    names = [name for name, _ in same.named()]
    assert names[0] == "chosen = paper-32" and len(names) == len(PUBLISHED)


def test_a_network_adds_its_answers(with_network):
    curves = {curve.name: curve for curve in all_curves(ReportData.of(with_network))}
    assert [*curves][-2:] == ["top-1", "cross-entropy"]
    assert {*curves["top-1"].x.tolist()} >= {6, 12, 24, 32, 48, 64, 192}
    np.testing.assert_allclose(curves["top-1"].y, 20 + curves["top-1"].x / 4)
    np.testing.assert_allclose(curves["cross-entropy"].y, 3 - curves["top-1"].x / 100)
    assert len(curves["cross-entropy"].marks) == 1 + len(PUBLISHED)


def test_the_allocation_figure_has_curves_and_marks(joint):
    figure = AllocationFigure(joint.rates, joint.choice)
    assert next(iter(figure.curves)) == joint.rates.precision.name
    assert [*figure.curves][-1] == "steps fitted to the data"
    for curve in figure.curves.values():
        cost = [one.bytes_per_image for one in curve]
        assert cost == sorted(cost)
        assert (np.diff([one.psnr for one in curve]) >= -1e-9).all()
    assert {one.selection.name for one in figure.marks} == {*PUBLISHED}
    fitted = figure.curves["steps fitted to the data"]
    for mark in figure.marks:  # none beats the curve at its own bytes
        better = [one.psnr for one in fitted if one.bytes_per_image >= mark.bytes_per_image]
        assert not better or mark.psnr <= max(better)


def test_the_allocation_figure_shows_what_was_chosen_and_judged(joint, result):
    upper, lower = AllocationFigure(joint.rates, joint.choice).draw(LIGHT).axes
    chosen = joint.choice.allocation
    (x,), (y,) = upper.get_lines()[-1].get_data()
    assert (x, y) == (chosen.bytes_per_image / 1e3, chosen.psnr)
    (x,), (y,) = lower.get_lines()[-1].get_data()
    assert (x, y) == pytest.approx((chosen.bytes_per_image / 1e3, chosen.psnr))
    assert len(lower.get_lines()[0].get_xdata()) == len(joint.choice.allocations)
    (alone,) = AllocationFigure(result.rates, result.choice).draw(LIGHT).axes
    assert len(alone.get_lines()) == len(upper.get_lines()) - 1


def test_labels_of_curves_do_not_overlap(with_network):
    for curve in all_curves(ReportData.of(with_network)):
        with style._settings("test"):
            figure = draw_curve(curve, LIGHT)
            figure.draw_without_rendering()
            (axes,) = figure.axes
            boxes = [text.get_window_extent() for text in axes.texts]
        assert [text.get_text() for text in axes.texts] == [mark.name for mark in curve.marks]
        for one, other in itertools.combinations(boxes, 2):
            apart = one.x1 <= other.x0 or other.x1 <= one.x0
            assert apart or one.y1 <= other.y0 or other.y1 <= one.y0


def test_many_labels_at_one_point_keep_apart():
    bounds = Box(0, 0, 400, 300)
    boxes = place_labels([(200.0, 150.0)] * 9, [(60.0, 12.0)] * 9, [], bounds)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(box.inside(bounds) and not box.holds((200, 150)) for box in boxes)


def test_kinds_partition_the_channels_of_two_selections():
    found = kinds((0, 1, 2), (2, 3))
    assert found == {0: ONLY_CHOSEN, 1: ONLY_CHOSEN, 2: BOTH, 3: ONLY_PUBLISHED}


def test_overlap_maps_mark_what_is_shared(report):
    figures = {figure.title: figure for figure in every_figure(report)}
    for name in PUBLISHED:
        artists = figures[name].draw(LIGHT)
        theirs = set(published(name).indices)
        for kind, expected in (
            ("in-both", report.chosen & theirs),
            ("only-chosen", report.chosen - theirs),
            ("only-published", theirs - report.chosen),
        ):
            found = {int(gid.rsplit("-", 1)[1]) for gid in drawn(artists, kind)}
            assert found == expected


def test_the_correlation_map_goes_by_component(report):
    assert sorted(CORRELATION_ORDER) == list(range(CHANNELS))
    assert [NAMES[k] for k in CORRELATION_ORDER[:3]] == ["y_0_0", "y_0_1", "y_1_0"]
    matrix = report.analysis.correlation
    (image,) = correlation_map(matrix, report.chosen, LIGHT).axes[0].images
    assert image.get_array()[64, 1] == matrix[64, 1]
    assert image.get_array()[64, 2] == matrix[64, 8]


def test_svg_has_no_colours_of_its_own_and_unique_ids(with_network):
    ids, every = [], list(every_figure(ReportData.of(with_network)))
    for figure in every:
        svg = as_svg(figure.name, figure.draw, "label")
        assert svg.startswith("<svg viewBox=") and 'role="img"' in svg
        assert "http" not in svg and "<style" not in svg and "<metadata" not in svg
        assert "var(--" in svg and not re.search("#0[1-8]fe0[1-8]", svg)
        found = re.findall(r'\bid="([^"]*)"', svg)
        ids += found
        assert set(re.findall(r'(?:url\(|href=")#([^")]*)', svg)) <= {*found}
        assert figure.name in found[0]
    assert len(ids) == len(set(ids))
    assert len({figure.name for figure in every}) == len(every)


def test_the_same_figure_gives_the_same_svg(report):
    first = score_figures(report)[0]
    assert as_svg("a", first.draw, "") == as_svg("a", first.draw, "")


def test_callers_settings_do_not_matter_and_are_kept(report):
    import matplotlib

    first = score_figures(report)[0]
    plain = as_svg("a", first.draw, "")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": True}):
        assert as_svg("a", first.draw, "") == plain
        assert matplotlib.rcParams["font.size"] == 30


def test_plots_are_png_files_on_white(with_network, split, tmp_path):
    paths = write_plots(with_network, split, tmp_path / "new" / "plots")
    names = [path.name for path in paths]
    assert {path.name for path in (tmp_path / "new" / "plots").iterdir()} == {*names}
    assert names[0] == "score-01-visible.png"
    wanted = {"curve-psnr.png", "curve-top-1.png", "overlap-square-24.png", "correlation.png"}
    assert {*wanted, "pictures-3.png", "channels-cr.png"} <= {*names}
    for path in paths:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            pixels = np.asarray(picture.convert("RGB"))
        assert pixels.std() > 1
        if not path.name.startswith("channels"):
            assert (pixels[0, 0] == 255).all()


def test_without_matplotlib_the_remedy_is_named(with_network, split, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for write in (write_report, write_plots):
        with pytest.raises(MissingPackageError, match=r"matplotlib .*freqprep\[report\]"):
            write(with_network, split, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_importing_the_report_does_not_import_matplotlib():
    code = "import sys, freqprep.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_figures_drawn_by_threads_are_those_drawn_in_turn(report):
    import matplotlib

    def draw(number: int) -> str:
        draw = partial(score_map, report.ranking, {number})
        return as_svg(f"map-{number}", draw, "a map")

    expected = [draw(number) for number in range(4)]
    before = dict(matplotlib.rcParams)
    assert together(*(partial(draw, number) for number in range(4))) == expected
    assert dict(matplotlib.rcParams) == before
