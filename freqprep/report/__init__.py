"""The report of ``freqprep stats``: one HTML file to look at, or its figures as PNG files.

``subject`` is what is reported, in numbers; ``heatmaps``, ``curves`` and ``pictures`` make figures
of it; ``style`` turns figures into SVG that follows the page's colours, or into PNG; ``sections``
and ``tables`` write the page's parts, ``page`` puts them together. Needs matplotlib, which is
imported when a figure is drawn.
"""

from freqprep.report.page import write_report
from freqprep.report.plots import PLOT_FILES, write_plots
from freqprep.report.style import check_matplotlib

__all__ = ["PLOT_FILES", "check_matplotlib", "write_plots", "write_report"]
