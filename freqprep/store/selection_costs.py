"""Cost of reading selections of channels: measured bytes, and ranges of a shard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from freqprep.spectrum import COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION, Selection, ranges
from freqprep.store.channel_bytes import ChannelBytes
from freqprep.store.split import Split


@dataclass(frozen=True)
class SelectionCost:
    """Channels of a selection, and the cost of reading them.

    Attributes
    ----------
    selection : Selection
    luma, cb, cr : int
        Number of channels of each component.
    ranges : int
        Number of runs of adjacent channels in a shard: each is one read.
    bytes_per_image : float or None
        Bytes read from disk per valid image, shard indexes included; None without splits.
    share : float or None
        Share of the bytes of all 192 channels.
    """

    selection: Selection
    luma: int
    cb: int
    cr: int
    ranges: int
    bytes_per_image: float | None
    share: float | None


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
    found = []
    for selection in selections:
        components = [index // FREQUENCIES for index in selection.indices]
        luma, cb, cr = (components.count(component) for component in range(len(COMPONENTS)))
        took = per_image(selection.indices) if measured else None
        found.append(
            SelectionCost(
                selection,
                luma,
                cb,
                cr,
                ranges=len(ranges(STORED_POSITION[index] for index in selection.indices)),
                bytes_per_image=took,
                share=None if took is None else took / every,
            )
        )
    return found
