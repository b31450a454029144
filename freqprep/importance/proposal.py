"""Selections from rankings: the top channels within a budget of bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from freqprep.errors import UsageError
from freqprep.spectrum.channels import CHANNELS, NAMES, Selection
from freqprep.text.quantities import plural

_UNITS = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
_BUDGET = re.compile(
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[kmgt]?b)"
    r"\s*(?P<each>(?:/|an?\b|per\b)\s*image)?(?P<all>in all)?",
    re.IGNORECASE,
)
BUDGET_REMEDY = (
    "write 20KB/image, 60GB (of the whole split), or a selection whose bytes are the limit"
)

_ROUNDING = 1e-12  # sums of the same costs in another order differ by less; bytes by far more


def fill(order: Sequence[int], count: int, cost: np.ndarray, limit: float = np.inf) -> list[int]:
    """Take channels greedily in the order of a ranking, as long as they fit.

    Only the first ``2 * count`` are considered: channels after them would be taken because they
    are small, not because they matter.

    Parameters
    ----------
    order : sequence of int
        Raster indices, the most important first.
    count : int
        Number of channels to take, at most.
    cost : ndarray of float64, shape (192,)
        Bytes per image of each channel, raster order.
    limit : float
        Bytes per image that the channels may take together.

    Returns
    -------
    list of int
        Raster indices in the order of the ranking; empty if nothing fits.
    """
    taken: list[int] = []
    allowed = limit * (1 + _ROUNDING)
    for index in order[: 2 * count]:
        if len(taken) < count and cost[[*taken, index]].sum() <= allowed:
            taken.append(index)
    return taken


def parse_amount(text: str, images: int) -> float | None:
    """Parse an amount of bytes.

    Parameters
    ----------
    text : str
        ``20KB/image``, ``20 KB an image``; or for all images together ``60GB``, ``60 GB in all``.
        Units are decimal.
    images : int
        Number of valid images of the split.

    Returns
    -------
    float or None
        Bytes per image; None if the text is no amount (it may name a selection).

    Raises
    ------
    UsageError
        The amount is 0.
    """
    match = _BUDGET.fullmatch(text.strip())
    if match is None or (match["each"] and match["all"]):
        return None
    amount = float(match["number"]) * _UNITS[match["unit"].lower()]
    if amount == 0:
        raise UsageError(f"a budget of {text.strip()!r} allows no channel", BUDGET_REMEDY)
    return amount if match["each"] else amount / max(images, 1)


def propose(
    name: str,
    order: Sequence[int],
    count: int,
    cost: np.ndarray,
    limit: float = np.inf,
) -> Selection:
    """Make a selection from a ranking; parameters as in `fill`.

    Raises
    ------
    UsageError
        The count is not that of some of the channels, or the first of the ranking does not fit into
        the limit: without it the others would be no selection anyone wants.
    """
    check_count(count, len(order))
    taken = fill(order, count, cost, limit)
    first = order[0]
    if first not in taken:
        raise UsageError(
            f"a budget of {limit:.0f} bytes an image does not hold {NAMES[first]}, the first"
            f" channel by {name}: it takes {cost[first]:.0f}",
            "raise the budget: 20KB/image is for each image, 60GB for all of the split together",
        )
    return Selection(tuple(taken), name)


def check_count(count: int, stored: int) -> None:
    """Refuse a number of channels that is not from 1 to the number stored.

    Raises
    ------
    UsageError
    """
    if not 1 <= count <= stored:
        where = "" if stored == CHANNELS else f" of the {stored} that are stored"
        raise UsageError(
            f"cannot choose the top {plural(count, 'channel')}{where}", f"choose 1 to {stored}"
        )
