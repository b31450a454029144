"""Report of ``freqprep stats``: one HTML file, or its figures as PNG files.

``report_data`` holds the numbers; ``heatmaps``, ``selection_curves`` and ``sample_pictures`` draw
figures of them; ``style`` turns figures into SVG in the page's colours, or into PNG; ``sections``
and ``tables`` write the parts of the page, and ``page`` puts them together. Needs matplotlib,
which is imported when a figure is drawn.
"""

from freqprep.report.page import write_report
from freqprep.report.plots import PLOT_FILES, write_plots
from freqprep.report.style import check_matplotlib

__all__ = ["PLOT_FILES", "check_matplotlib", "write_plots", "write_report"]
