"""Names, orders and selections of the 192 frequency channels.

A channel is ``y_v_h``, ``cb_v_h`` or ``cr_v_h`` (v vertical, h horizontal frequency). Its raster
index is ``64 * component + 8 * v + h``. The API always speaks raster order; the store keeps
channels in `STORED_ORDER`, in which each of the nested published selections (6, 24, 32, 48, 64)
is exactly three ranges.

Published selections: Xu et al., "Learning in the Frequency Domain", CVPR 2020 and its code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from freqprep.errors import UnknownChannelError, did_you_mean
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES

CHANNELS = len(COMPONENTS) * FREQUENCIES
"""Channels in all: 192."""

NAMES = tuple(f"{c}_{v}_{h}" for c in COMPONENTS for v in range(BLOCK) for h in range(BLOCK))
"""Channel names in raster order."""

FREE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
"""Pattern of the names that users may give to selections and precisions."""

_SHOWN = 8
_LONGEST_NAME = 40
"""Channels, and letters of its name, in a selection's ``repr``."""

_INDEX = {name: index for index, name in enumerate(NAMES)}


def _zigzag() -> tuple[int, ...]:
    def key(k: int) -> tuple[int, int]:
        v, h = divmod(k, BLOCK)
        return v + h, (v if (v + h) % 2 else h)

    return tuple(sorted(range(FREQUENCIES), key=key))


ZIGZAG = _zigzag()
"""Raster index of each frequency in the zigzag order of ITU-T T.81, figure A.6."""


def _spans(*spans: tuple[int, int]) -> tuple[int, ...]:
    return tuple(k for first, last in spans for k in range(first, last + 1))


_SQUARE_2 = (0, 1, 8, 9)
_PAPER: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    # name -> frequencies of luma; of each chroma component
    "paper-6": (_SQUARE_2, (0,)),
    "square-24": (_spans((0, 3), (8, 11), (16, 19), (24, 27)), _SQUARE_2),
    "learned-24": ((0, 1, 2, 3, 4, 5, 8, 9, 10, 16, 17, 18, 24, 32), (0, 1, 3, 8, 24)),
    "paper-32": (_spans((0, 4), (8, 12), (16, 20), (24, 27), (32, 34)), (0, 1, 2, 8, 9)),
    "paper-48": (
        _spans((0, 5), (8, 13), (16, 21), (24, 29), (32, 35), (40, 43)),
        (0, 1, 2, 8, 9, 10, 16, 17),
    ),
    "paper-64": (
        _spans((0, 6), (8, 14), (16, 21), (24, 29), (32, 37), (40, 45), (48, 53)),
        (0, 1, 2, 8, 9, 10, 16, 17, 24, 25),
    ),
}
PUBLISHED = tuple(_PAPER)
"""Names of the published selections."""

_NESTED = ("paper-6", "square-24", "paper-32", "paper-48", "paper-64")
RULES = {
    "square-Y+C": "the Y x Y lowest of luma, the C x C lowest of Cb and of Cr",
    "triangle-N": "N channels, two thirds of them luma, lowest v + h first",
    "zigzag-Y+Cb+Cr": "the first Y, Cb and Cr of each component in zigzag order",
}
"""Patterns of names of selections by a rule, and what the rules select."""
RULE_PREFIXES = tuple(f"{pattern.partition('-')[0]}-" for pattern in RULES)
"""Beginnings of those names, which nothing else may be called by."""

_REMEDY = (
    f"known selections: {', '.join([*_PAPER, 'all', *RULES])}; or channels"
    " by name, y_0_0 to cr_7_7, with commas; or by raster index, Y then Cb then Cr, 8 * v + h"
    " inside each"
)


def _stored_order() -> tuple[int, ...]:
    order: list[int] = []
    for component in range(len(COMPONENTS)):
        kept: list[int] = []
        rings = [_PAPER[name][min(component, 1)] for name in _NESTED] + [ZIGZAG]
        for ring in rings:
            kept += [k for k in ZIGZAG if k in ring and k not in kept]
        order += [component * FREQUENCIES + k for k in kept]
    return tuple(order)


STORED_ORDER = _stored_order()
"""Raster index of each stored channel: the nested published sets, zigzag inside each ring."""

STORED_POSITION = tuple(int(p) for p in np.argsort(STORED_ORDER))
"""Stored position of each raster index."""


@dataclass(frozen=True)
class Selection:
    """Selected channels, in the order asked for.

    Attributes
    ----------
    indices : tuple of int
        Raster indices, 0..191, no repeats.
    name : str
        Name by which the selection was asked for.
    """

    indices: tuple[int, ...]
    name: str = ""

    def __repr__(self) -> str:
        names = self.names
        few = names if len(names) <= _SHOWN else (*names[: _SHOWN - 1], "...", names[-1])
        name = self.name if len(self.name) <= _LONGEST_NAME else f"{self.name[:_LONGEST_NAME]}..."
        plural = "" if len(self) == 1 else "s"
        return f"Selection({name!r}, {len(self)} channel{plural}: {' '.join(few)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Channel names, in the same order."""
        return tuple(NAMES[index] for index in self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def square(side: int) -> tuple[int, ...]:
    """List the frequencies of one component with v < side and h < side, in raster order."""
    _check(0 <= side <= BLOCK, f"a square of side {side}: sides go from 0 to {BLOCK}")
    return tuple(BLOCK * v + h for v in range(side) for h in range(side))


def lowest(count: int) -> tuple[int, ...]:
    """List the first ``count`` frequencies in zigzag order, sorted to raster order."""
    _check(0 <= count <= FREQUENCIES, f"{count} frequencies: a component has {FREQUENCIES}")
    return tuple(sorted(ZIGZAG[:count]))


def combine(luma: Iterable[int], cb: Iterable[int], cr: Iterable[int]) -> tuple[int, ...]:
    """Combine the frequencies of each component into raster channel indices."""
    per_component = (luma, cb, cr)
    return tuple(c * FREQUENCIES + k for c, ks in enumerate(per_component) for k in ks)


def square_split(luma: int, chroma: int) -> Selection:
    """Select ``square-Y+C``: squares of side ``luma``, and in Cb and Cr of side ``chroma``."""
    indices = combine(square(luma), square(chroma), square(chroma))
    return Selection(indices, f"square-{luma}+{chroma}")


def triangle_split(luma: int, chroma: int) -> Selection:
    """Select the lowest v + h (zigzag breaks ties): ``luma`` channels, ``chroma`` in Cb and Cr."""
    return Selection(combine(lowest(luma), lowest(chroma), lowest(chroma)), f"{luma}+2x{chroma}")


def triangle(count: int) -> Selection:
    """Select ``triangle-N``: N channels, two thirds luma as in the published 24 (16 + 4 + 4).

    The chroma components get ``round(N / 6)`` channels each (at most 64), luma the rest.
    """
    _check(1 <= count <= CHANNELS, f"triangle-{count}: N goes from 1 to {CHANNELS}")
    chroma = min((count + 3) // 6, FREQUENCIES)
    chroma = max(chroma, -(-(count - FREQUENCIES) // 2))
    selection = triangle_split(count - 2 * chroma, chroma)
    return Selection(selection.indices, f"triangle-{count}")


def zigzag(luma: int, cb: int, cr: int) -> Selection:
    """Select ``zigzag-Y+Cb+Cr``: the first channels of each component in zigzag order."""
    name = f"zigzag-{luma}+{cb}+{cr}"
    return Selection(combine(lowest(luma), lowest(cb), lowest(cr)), name)


def published(name: str) -> Selection:
    """Return a published selection by name, in raster order."""
    luma, chroma = _PAPER[name]
    return Selection(combine(luma, chroma, chroma), name)


def published_within(stored: Iterable[int]) -> tuple[Selection, ...]:
    """Return the published selections that consist of stored channels only."""
    known = set(stored)
    return tuple(one for one in map(published, PUBLISHED) if known.issuperset(one.indices))


def described(indices: Sequence[int]) -> str:
    """Describe a set of channels: as the published selection that it is, or by its names."""
    if len(indices) == CHANNELS:
        return "all"
    for name in PUBLISHED:
        if set(published(name).indices) == set(indices):
            return name
    names = [NAMES[index] for index in indices]
    return ", ".join(names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], "...", names[-1]])


def channels(
    selection: str | Sequence[int | str] | Selection, saved: Sequence[str] = ()
) -> Selection:
    """Resolve names, indices or a pattern into a selection of channels.

    Parameters
    ----------
    selection : str, sequence or Selection
        ``paper-6``, ``square-24``, ``learned-24``, ``paper-32``, ``paper-48``, ``paper-64``,
        ``all``, ``square-Y+C``, ``triangle-N``, ``zigzag-Y+Cb+Cr``; channel names with commas
        (``y_0_0,cb_0_0``); or a sequence of raster indices or channel names.
    saved : sequence of str
        Names of selections saved in a store: suggested for a misspelt name, not resolved.

    Returns
    -------
    Selection

    Raises
    ------
    UnknownChannelError
        The name, a channel or an index does not exist, or a channel is repeated.
    """
    if isinstance(selection, Selection):
        return selection
    if not isinstance(selection, str):
        if not isinstance(selection, Iterable) or isinstance(selection, (bytes, bytearray)):
            raise UnknownChannelError(f"{selection!r} names no channels: give a list", _REMEDY)
        return _checked(tuple(_index(item, saved) for item in selection), "explicit channels")
    text = selection.strip()
    if text in _PAPER:
        return published(text)
    if text == "all":
        return Selection(tuple(range(CHANNELS)), "all")
    if match := re.fullmatch(r"triangle-(\d{1,4})", text):
        return triangle(int(match[1]))
    if match := re.fullmatch(r"square-(\d{1,4})\+(\d{1,4})", text):
        return _checked(square_split(int(match[1]), int(match[2])).indices, text)
    if match := re.fullmatch(r"zigzag-(\d{1,4})\+(\d{1,4})\+(\d{1,4})", text):
        return _checked(zigzag(*(int(n) for n in match.groups())).indices, text)
    return _checked(tuple(_index(part.strip(), saved) for part in text.split(",")), text)


def ranges(positions: Iterable[int]) -> list[tuple[int, int]]:
    """Merge positions into maximal runs ``(first, stop)``, rising."""
    runs: list[tuple[int, int]] = []
    for position in sorted(set(positions)):
        if runs and runs[-1][1] == position:
            runs[-1] = (runs[-1][0], position + 1)
        else:
            runs.append((position, position + 1))
    return runs


def _index(item: int | str | np.integer, saved: Sequence[str]) -> int:
    if isinstance(item, str):
        if item not in _INDEX:
            raise _unknown(item, saved)
        return _INDEX[item]
    is_integer = isinstance(item, (int, np.integer)) and not isinstance(item, bool)
    in_range = is_integer and 0 <= int(item) < CHANNELS
    _check(
        in_range,
        f"channel index {item!r} is not a whole number in 0..{CHANNELS - 1}",
        "raster indices are Y, then Cb, then Cr, 8 * v + h inside each; or name channels, y_0_0 to"
        " cr_7_7",
    )
    return int(item)


def _unknown(name: str, saved: Sequence[str]) -> UnknownChannelError:
    message = f"unknown channel or selection {name!r}"
    if re.fullmatch(r"(y|cb|cr)_\d+_\d+", name):
        return UnknownChannelError(f"{message}: frequencies go from 0 to {BLOCK - 1}", _REMEDY)
    near = did_you_mean(name, (*PUBLISHED, "all", *saved, *NAMES))
    return UnknownChannelError(message, near + _REMEDY)


def _checked(indices: tuple[int, ...], name: str) -> Selection:
    repeated = sorted({NAMES[i] for i in indices if indices.count(i) > 1})
    _check(not repeated, f"channels asked for twice: {', '.join(repeated)}", "name each once")
    _check(
        bool(indices),
        f"no channels: the selection {name!r} is empty",
        "name at least one, such as y_0_0, or a selection, such as square-24",
    )
    return Selection(indices, name)


def _check(condition: bool, message: str, remedy: str = _REMEDY) -> None:
    if not condition:
        raise UnknownChannelError(message, remedy)
