"""Plans of a packing: its splits, their channels and attributes. Nothing is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from freqprep.errors import UsageError
from freqprep.pack.request import PackRequest
from freqprep.progress import say
from freqprep.spectrum.channels import described
from freqprep.storage.paths import AnyPath
from freqprep.store.existing import pending, refuse_existing
from freqprep.store.layout import partial_folders
from freqprep.store.packed import Packed
from freqprep.store.plan import load_attributes
from freqprep.store.reader import Split, open_store
from freqprep.store.root import store_exists
from freqprep.store.schema import SplitAttributes
from freqprep.store.selections import ChannelsLike, select
from freqprep.store.versions import packing_versions
from freqprep.store.writer import UnfinishedSplit


@dataclasses.dataclass(frozen=True)
class PackPlan:
    """A split to pack, and the split to make of it.

    Attributes
    ----------
    split : Split
    attributes : SplitAttributes
        Attributes of the packed split.
    """

    split: Split
    attributes: SplitAttributes

    @property
    def positions(self) -> tuple[int, ...]:
        """Stored positions of the kept channels in the split, rising."""
        stored = self.split.attributes.positions
        return tuple(stored[index] for index in self.attributes.channels)

    @property
    def new_level(self) -> int | None:
        """Level to compress at; None if frames are copied, because their level stays."""
        level = self.attributes.level
        return None if level == self.split.attributes.level else level


def make_plans(request: PackRequest) -> dict[str, PackPlan]:
    """Plan the splits of a request, by name.

    Parameters
    ----------
    request : PackRequest

    Returns
    -------
    dict of str to PackPlan

    Raises
    ------
    StoreError
        The path is not a store.
    UsageError
        The store has no finished split, or no such channels, or a selection means other channels
        in each split.
    """
    store = open_store(request.store)
    if request.split is None and len(store) > 1:
        splits = dict(store)
    else:
        only = store.only(request.split)
        splits = {only.attributes.split: only}
    if request.split is None and (left_out := [*store.unfinished, *store.incomplete]):
        say(f"warning: not finished, so not packed: {', '.join(left_out)}")
    plans = {
        name: PackPlan(split, packed_attributes(split, request.level, request.channels))
        for name, split in splits.items()
    }
    if request.channels is not None and len({p.attributes.channels for p in plans.values()}) > 1:
        raise UsageError(
            f"--channels {request.channels} means other channels in each of {', '.join(plans)}",
            "save the channels of one split by a name (`freqprep stats --save`), or pack the"
            " splits one by one with --split",
        )
    return plans


def packed_attributes(split: Split, level: int | None, channels: ChannelsLike) -> SplitAttributes:
    """Return the attributes of a split once it is packed.

    Parameters
    ----------
    split : Split
    level : int or None
        Level of zstd; None for that of the split.
    channels : str, int, sequence, Selection or None
        Channels to keep.

    Returns
    -------
    SplitAttributes

    Raises
    ------
    UnknownChannelError
        There is no such channel, or the split does not store it.
    """
    kept, before = set(select(channels, split).indices), split.attributes
    return dataclasses.replace(
        before,
        channels=tuple(index for index in before.channels if index in kept),
        level=before.level if level is None else level,
        packed=Packed(split.content_id, packing_versions()),
    )


def still_to_pack(
    request: PackRequest, plans: Mapping[str, PackPlan], partials: Mapping[str, UnfinishedSplit]
) -> dict[str, UnfinishedSplit]:
    """Return the unfinished splits of a request, after checking what the target has already.

    Raises
    ------
    SplitExistsError
        A split exists, and the request neither resumes nor overwrites it.
    UsageError
        A split to resume was begun otherwise, or splits that are kept have other classes.
    """
    if not (request.resume or request.overwrite):
        refuse_existing(request.target, partials)
    todo = pending(partials, request.resume)
    for name, partial in partials.items():
        if name not in todo:
            found = open_store(request.target)[name].attributes
            check_same(plans[name].attributes, found, finished=True)
        elif request.resume and partial.exists():
            check_same(plans[name].attributes, load_attributes(partial.folder), finished=False)
    classes = [(name, plan.attributes) for name, plan in plans.items()]
    check_classes(request.target, [*_kept(request.target, set(todo)), *classes])
    return todo


def check_same(asked: SplitAttributes, found: SplitAttributes, finished: bool) -> None:
    """Refuse to resume a split that was begun otherwise.

    Parameters
    ----------
    asked, found : SplitAttributes
        Attributes by the present request, and of the split begun.
    finished : bool
        Whether no work is left to do; library versions then do not matter.

    Raises
    ------
    UsageError
        It was converted, or packed from another split, at another level, with other channels or
        other library versions.
    """
    if asked.packed is None or found.packed is None:
        raise UsageError(
            f"the split {found.split} was converted, not packed",
            "pack into another store, or replace it with --overwrite",
        )
    pairs = {
        "split (content id)": (asked.packed.content_id[:12], found.packed.content_id[:12]),
        "number of images": (asked.images, found.images),
        "level": (asked.level, found.level),
        "selection": (described(asked.channels), described(found.channels)),
        "set of library versions": (dict(asked.packed.versions), dict(found.packed.versions)),
    }
    if finished:
        del pairs["set of library versions"]
    for name, (now, then) in pairs.items():
        if now != then:
            raise UsageError(
                f"the packing of {found.split} was begun with another {name}: {then}, now {now}",
                "give the same store, options and libraries, or start over with --overwrite",
            )


def check_classes(target: AnyPath, splits: Iterable[tuple[str, SplitAttributes]]) -> None:
    """Refuse splits of one store that have different classes.

    Raises
    ------
    UsageError
    """
    (first, one), *others = splits
    for name, other in others:
        if (one.class_ids, one.class_names) != (other.class_ids, other.class_names):
            raise UsageError(
                f"{name} has other classes than {first}, and splits of one store have the same:"
                f" {len(other.class_ids)} instead of {len(one.class_ids)} in {target}",
                "pack it into a store of its own",
            )


def _kept(target: AnyPath, replaced: set[str]) -> Iterator[tuple[str, SplitAttributes]]:
    """Yield name and attributes of the splits of the target that the run does not touch."""
    if store_exists(target):
        store = open_store(target)
        yield from ((name, store[name].attributes) for name in store if name not in replaced)
    for name, folder in partial_folders(target).items():
        if name not in replaced and (folder / "plan.json").is_file():
            yield name, load_attributes(folder)
