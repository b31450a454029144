"""Colours, and the export of figures as SVG in the page's colours or as PNG.

A figure is drawn by a function of a `Palette`. For the page it is drawn once with placeholder
colours (`THEMED`); in its SVG they become CSS variables, so that the same drawing is light, dark or
printed.
"""

from __future__ import annotations

import importlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from freqprep.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REMEDY = "pip install 'freqprep[report]'"
_PNG_DPI = 160
POINTS_PER_INCH = 72
"""Resolution of figures: a point is a pixel of the page."""


@dataclass(frozen=True)
class Palette:
    """Colours of a page and its figures, ``#rrggbb``.

    Attributes
    ----------
    ink, muted : str
        Text; secondary text.
    page, card, line : str
        Background of the page; background of a figure; rules and grids.
    curve, chosen, published : str
        Curves; the chosen selection; published ones. Distinct for all kinds of colour vision.
    """

    ink: str
    muted: str
    page: str
    card: str
    line: str
    curve: str
    chosen: str
    published: str


DrawFigure = Callable[[Palette], "Figure"]

LIGHT = Palette(
    ink="#1a1e23",
    muted="#56606b",
    page="#f5f6f8",
    card="#ffffff",
    line="#d8dde3",
    curve="#0067a5",
    chosen="#b54700",
    published="#148463",
)
DARK = Palette(
    ink="#e8ebee",
    muted="#a5afb9",
    page="#14171a",
    card="#1d2125",
    line="#3a4148",
    curve="#56b4e9",
    chosen="#f2902f",
    published="#4dc3a0",
)
THEMED = Palette(*(f"#{number:02x}fe{number:02x}" for number in range(1, 9)))
"""Placeholders for the page's own colours."""


def variables(palette: Palette) -> str:
    """Return the palette as CSS declarations."""
    return " ".join(f"--{name}: {color};" for name, color in asdict(palette).items())


def check_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises
    ------
    MissingPackageError
        matplotlib is not installed.
    """
    try:
        importlib.import_module("matplotlib")
    except ModuleNotFoundError:
        raise MissingPackageError("the package matplotlib is not installed", _REMEDY) from None
    except (ImportError, OSError) as error:
        raise MissingPackageError(f"matplotlib cannot be imported: {error}", _REMEDY) from None


def as_svg(name: str, draw: DrawFigure, label: str) -> str:
    """Draw a figure as an ``<svg>`` element for a page.

    Parameters
    ----------
    name : str
        Prefix of ids, unique on the page: letters, digits and hyphens.
    draw : callable
        Function from a palette to a figure.
    label : str
        Label for screen readers, escaped.

    Returns
    -------
    str
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with _settings(name):
        figure = draw(THEMED)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        write: Callable[..., None] = FigureCanvasSVG(figure).print_svg
        write(buffer, metadata=nothing)
    return _for_page(buffer.getvalue(), name, label)


def as_png(draw: DrawFigure) -> bytes:
    """Draw a figure as a PNG file, on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    with _settings("png"):
        figure = draw(LIGHT)
        figure.set_dpi(_PNG_DPI)
        figure.set_facecolor(LIGHT.card)
        write: Callable[..., None] = FigureCanvasAgg(figure).print_png
        write(buffer, metadata={"Software": None})
    return buffer.getvalue()


def logarithmic_x(axes: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2, 5, 10 and so on."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def style_axes(axes: Axes, palette: Palette) -> None:
    """Draw the grid, the ticks and two of the four sides of axes in a palette's colours."""
    axes.grid(color=palette.line, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.tick_params(length=0, colors=palette.muted)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(palette.muted)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in points, on which text can be measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width / POINTS_PER_INCH, height / POINTS_PER_INCH)
    figure = Figure(figsize=size, dpi=POINTS_PER_INCH, facecolor="none")
    FigureCanvasAgg(figure)
    return figure


_drawing = threading.Lock()
"""Held while drawing: matplotlib's settings are global to the process."""


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    """Apply matplotlib's defaults and ours, and restore the caller's settings afterwards."""
    check_matplotlib()
    import matplotlib

    with _drawing, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.size": 11,
                "svg.fonttype": "none",
                "svg.hashsalt": salt,
                "text.parse_math": False,
                "axes.formatter.use_mathtext": False,
                "axes.unicode_minus": False,
            }
        )
        yield


def _for_page(svg: str, name: str, label: str) -> str:
    """Strip the header, make ids unique, and replace colours by CSS variables."""
    svg = svg[svg.index("<svg") :]
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="([^"]*)"', head)
    assert box is not None
    body = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    for variable, color in asdict(THEMED).items():
        body = body.replace(color, f"var(--{variable})")
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">{body}'
