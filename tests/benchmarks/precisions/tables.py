"""Tables of steps that are compared: those that freqprep offers, and others that were tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freqprep.spectrum import BLOCK, FREQUENCIES
from freqprep.spectrum.quantization import PRECISIONS, Precision

_SUM = np.add(*np.divmod(np.arange(FREQUENCIES), BLOCK))  # v + h
_LUMA = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 9, 9, 9, 9])  # group of each v + h
_CHROMA = np.array([0, 1, 2, 3, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5])

OFFERED = ("int8", "compact", "coarse")


def table(name: str, luma: str, chroma: str) -> Precision:
    """Make a precision of int8 codes whose steps depend on ``v + h``.

    Parameters
    ----------
    name : str
    luma : str
        Steps for v + h = 0 to 7, 8-9 and from 10 on, separated by blanks; ``8x6`` is six times 8.
        The last holds for all that follow.
    chroma : str
        The same, for v + h = 0 to 3, 4-5 and from 6 on.

    Returns
    -------
    Precision
    """
    of_luma, of_chroma = _steps(luma, _LUMA), _steps(chroma, _CHROMA)
    return Precision(name, "int8", (*of_luma, *of_chroma, *of_chroma))


def _steps(text: str, groups: np.ndarray) -> list[float]:
    steps: list[float] = []
    for part in text.split():
        step, _, times = part.partition("x")
        steps += [float(step)] * int(times or 1)
    steps += [steps[-1]] * (int(groups[-1]) + 1 - len(steps))
    return [steps[group] for group in groups[_SUM].tolist()]


def _tried(rules: Sequence[tuple[str, str]]) -> dict[str, Precision]:
    """Name each table by its rule."""
    return {
        f"{luma} / {chroma}": table(f"tried-{number}", luma, chroma)
        for number, (luma, chroma) in enumerate(rules)
    }


FLAT_16 = table("flat-16", "16", "16")
LOW_16 = table("low-16", "16x3 8", "16x3 8")
"""Step 16 for v + h <= 2, 8 for the rest."""

TRIED = _tried(
    [
        ("8", "8"),
        ("16", "16"),
        ("8x5 16 16 32 32 64", "8 16 32 64 128"),
        ("8x5 32 64", "8 16 32 32 64 128"),
    ]
)
"""Some of the tables tried while ``compact`` was looked for; luma / chroma."""

JUDGED = {**{name: PRECISIONS[name] for name in OFFERED}, **TRIED}
