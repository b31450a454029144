"""Match the classes of a split with those of a network."""

from __future__ import annotations

import numpy as np

from freqprep.errors import UsageError, some
from freqprep.images.encoding import Encoding
from freqprep.sources.listing import Classes, other_names
from freqprep.spectrum.quantization import CODE_TYPES
from freqprep.store.split import Split
from freqprep.text.quantities import plural
from freqprep.text.terminal import quoted
from freqprep.training.model_config import ModelConfig


def match_classes(config: ModelConfig, split: Split) -> np.ndarray:
    """Find the network's class with the same id for each class of a split.

    Returns
    -------
    ndarray of int64, shape (classes of the split,)
        -1 where the network has no such class.

    Raises
    ------
    UsageError
        The network has none of them.
    """
    indices = {name: index for index, name in enumerate(config.class_ids)}
    class_map = np.array([indices.get(name, -1) for name in split.attributes.class_ids], np.int64)
    if (class_map < 0).all():
        raise UsageError(
            f"the network knows none of the classes of {split.path}: it has"
            f" {some(list(map(ascii, config.class_ids)))}, the split"
            f" {some(list(map(ascii, split.attributes.class_ids)))}",
            "evaluate on a store of the classes that it was trained on",
        )
    return class_map


def renamed_note(config: ModelConfig, split: Split) -> list[str]:
    """Name the classes that have the same number in network and split, and another name.

    Numbers from 0 on are in every other file of categories, so they may mean something else.

    Returns
    -------
    list of str
        One note, or none.
    """
    ours, theirs = (Classes(one.class_ids, one.class_names) for one in (config, split.attributes))
    if not (differ := other_names(ours, theirs)):
        return []
    named = some([f"{id_} is {quoted(a)} and {quoted(b)}" for id_, a, b in differ])
    return [
        f"classes are matched by number, and {plural(len(differ), 'number')} of the network's have"
        f" another name in the split: {named}; if they mean something else, so do the figures"
    ]


def count_unknown(config: ModelConfig, split: Split) -> int:
    """Count the classes of a split that the network lacks."""
    return int((match_classes(config, split) < 0).sum())


def check_images(split: Split) -> None:
    """Refuse a split without any image.

    Raises
    ------
    UsageError
    """
    if not split.valid.any():
        raise UsageError(f"{split.path} has no image: all were rejected", "see `freqprep info`")


def unknown_note(split: Split, class_map: np.ndarray, labels: np.ndarray, effect: str) -> list[str]:
    """Name the classes that the network lacks, if any.

    Parameters
    ----------
    split : Split
    class_map : ndarray of int64
        From `match_classes`.
    labels : ndarray of int64
        Labels of the images or objects that are evaluated.
    effect : str
        What this does to them, e.g. ``images count as wrong``.

    Returns
    -------
    list of str
        One note, or none.
    """
    unknown = np.flatnonzero(class_map < 0).tolist()
    if not unknown:
        return []
    ids = split.attributes.class_ids
    named = [ids[label] for label in unknown]
    names = some([quoted(name) if isinstance(name, str) else str(name) for name in named])
    return [
        f"the network does not know {len(unknown)} of the {plural(len(ids), 'class')} ({names}):"
        f" their {int(np.isin(labels, unknown).sum())} {effect}"
    ]


def encoding_note(config: ModelConfig, split: Split) -> list[str]:
    """State how a split's encoding differs from that of the network's own store, if it does."""
    ours, theirs = config.encoding, split.attributes.encoding
    if ours == theirs:
        return []
    one, other = _described(ours), _described(theirs)
    # Two tables of steps may have the same name and range.
    apart = f", with {theirs.precision.apart_from(ours.precision)}" if one == other else ""
    return [f"the network was trained on images stored as {one}, these are {other}{apart}"]


def _described(encoding: Encoding) -> str:
    geometry, precision = encoding.geometry, encoding.precision
    table = ""
    if precision.name not in CODE_TYPES:
        low, high = min(precision.steps), max(precision.steps)
        table = f" ({precision.codes}, steps {low:g} to {high:g})"
    resize = "" if geometry.resize is None else f" from {geometry.resize}"
    return (
        f"{geometry.kind} {geometry.size}{resize}, {precision.name}{table},"
        f" orientation {geometry.orientation}"
    )
