"""Colours, and figures as SVG that follows the page's colours or as PNG.

A figure is drawn by a function of a `Palette`. For the page it is drawn once with colours that
stand for names (`THEMED`); in its SVG they become CSS variables, so that the same drawing is
light, dark or on paper.
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
    from matplotlib.figure import Figure

_REMEDY = "pip install 'freqprep[report]'"
_PNG_DPI = 160
POINTS_PER_INCH = 72
"""A point of a figure is a pixel of the page."""


@dataclass(frozen=True)
class Palette:
    """Colours of a page and its figures, ``#rrggbb``.

    Attributes
    ----------
    ink, muted : str
        Text; text of less weight.
    page, card, line : str
        Behind everything; behind a figure; rules and grids.
    curve, chosen, published : str
        A line; the chosen selection; a published one. Distinct for all kinds of colour vision.
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
"""Stands for the page's own colours."""


def variables(palette: Palette) -> str:
    """The palette as CSS declarations."""
    return " ".join(f"--{name}: {color};" for name, color in asdict(palette).items())


def check_matplotlib() -> None:
    """Raise where figures cannot be drawn.

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
    """A figure as an ``<svg>`` element for a page.

    Parameters
    ----------
    name : str
        Unique on the page: a word of letters, digits and hyphens.
    draw : callable
    label : str
        What a screen reader says; escaped already.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with _settings(name):
        figure = draw(THEMED)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    return _for_page(buffer.getvalue(), name, label)


def as_png(draw: DrawFigure) -> bytes:
    """A figure as a PNG file, on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    with _settings("png"):
        figure = draw(LIGHT)
        figure.set_dpi(_PNG_DPI)
        figure.set_facecolor(LIGHT.card)
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many points, on which text can be measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width / POINTS_PER_INCH, height / POINTS_PER_INCH)
    figure = Figure(figsize=size, dpi=POINTS_PER_INCH, facecolor="none")
    FigureCanvasAgg(figure)
    return figure


_drawing = threading.Lock()
"""Matplotlib's settings are the whole process's: one figure is drawn at a time."""


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    """Matplotlib's own defaults and ours; what the caller had is restored."""
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
    """Strip what a page has already, make ids unique, put CSS variables for colours."""
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
