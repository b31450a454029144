"""Picture of a trained gate, beside the energy of channels and a published selection."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqprep.report.grids import draw_rows
from freqprep.report.style import Palette, as_png
from freqprep.spectrum.channels import CHANNELS, PUBLISHED, Selection
from freqprep.spectrum.channels import channels as published
from freqprep.storage.disk import full_disk_named, write_parts
from freqprep.store.split import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GATE_MAP = "gate-map.png"
"""Name of the picture in a run's folder."""


def write_gate_map(
    folder: Path, probability: Mapping[int, float], chosen: Iterable[int], split: Split
) -> bool:
    """Draw what a gate learned into its run's folder.

    Parameters
    ----------
    folder : Path
        The run's folder.
    probability : mapping of int to float
        Raster index of each channel of the gate -> mean probability of being open.
    chosen : iterable of int
        Raster indices of the proposed channels.
    split : Split
        Trained on: its energies are drawn too.

    Returns
    -------
    bool
        False where matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    ours = list(chosen)
    data = as_png(lambda palette: draw_gate_map(probability, ours, split, palette))
    with full_disk_named(folder):
        write_parts(folder / GATE_MAP, [data], folder)
    return True


def logarithm(values: np.ndarray) -> np.ndarray:
    """Return decimal logarithms, NaN of 0, which is not drawn."""
    return np.log10(np.where(values > 0, values, np.nan))


def draw_gate_map(
    probability: Mapping[int, float], chosen: list[int], split: Split, palette: Palette
) -> Figure:
    """Draw rows of three grids: the gate, and twice the energy with another selection outlined.

    These are the published selection of the nearest size, and as many channels as were chosen by
    ``stats``' score ``energy``.
    """
    learned = np.full(CHANNELS, np.nan)
    learned[list(probability)] = list(probability.values())
    squares = split.moments.energy(split.steps)
    energy = logarithm(squares)
    near, count = nearest_published(len(chosen)), len(chosen)
    most = np.argsort(-squares, kind="stable")[:count].tolist()
    rows = (
        (f"open with probability; chosen: {count}", learned, chosen),
        (f"energy, logarithmic; published: {near.name}", energy, list(near.indices)),
        (f"energy, logarithmic; its first {count}", energy, most),
    )
    return draw_rows(rows, palette)


def nearest_published(count: int) -> Selection:
    """Return the first published selection whose number of channels is nearest."""
    return min((published(name) for name in PUBLISHED), key=lambda one: abs(len(one) - count))
