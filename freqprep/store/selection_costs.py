"""Cost of reading selections of channels: measured bytes, and ranges of a shard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION, Selection, ranges
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.split import Split

_POSITIONS = dict(enumerate(STORED_POSITION))


@dataclass(frozen=True)
class SelectionCost:
    """Channels of a selection, and the cost of reading them.

    Attributes
    ----------
    selection : Selection
    luma, cb, cr : int
        Number of channels of each component.
    ranges : int or None
        Number of runs of adjacent channels in a shard: each is one read. Of several splits that
        store other channels, the most.
    bytes_per_image : float or None
        Bytes read from disk per valid image, shard indexes included; None without splits.
    share : float or None
        Share of the bytes of all channels stored.
    stored : bool
        Whether every split stores all its channels; if not, ``ranges``, ``bytes_per_image`` and
        ``share`` are None.
    """

    selection: Selection
    luma: int
    cb: int
    cr: int
    ranges: int | None
    bytes_per_image: float | None
    share: float | None
    stored: bool = True


def selection_costs(
    selections: Iterable[Selection], splits: Sequence[Split] = ()
) -> list[SelectionCost]:
    """Measure selections on splits, all together, on up to 64 shards of each.

    Parameters
    ----------
    selections : iterable of Selection
    splits : sequence of Split
        Without any, only costs that do not depend on data.

    Returns
    -------
    list of SelectionCost
    """
    measured = [ChannelBytes.of(split) for split in splits]
    images = max(sum(int(split.valid.sum()) for split in splits), 1)

    def per_image(indices: Sequence[int]) -> float:
        return sum(one.read(indices) for one in measured) / images

    every = per_image(range(CHANNELS))
    tables = [split.attributes.positions for split in splits] or [_POSITIONS]
    found = []
    for selection in selections:
        components = [index // FREQUENCIES for index in selection.indices]
        luma, cb, cr = (components.count(component) for component in range(len(COMPONENTS)))
        stored = all(index in table for table in tables for index in selection.indices)
        took = per_image(selection.indices) if measured and stored else None
        found.append(
            SelectionCost(
                selection,
                luma,
                cb,
                cr,
                ranges=max(_ranges(selection, table) for table in tables) if stored else None,
                bytes_per_image=took,
                share=None if took is None else took / every,
                stored=stored,
            )
        )
    return found


def _ranges(selection: Selection, positions: Mapping[int, int]) -> int:
    return len(ranges(positions[index] for index in selection.indices))
