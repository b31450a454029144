"""Names of splits: what a folder called ``Testing``, ``train_set`` or ``seg_val`` is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
    "evaluation": "val",
    "test": "test",
    "testing": "test",
}
_AFFIX = (
    "(?:set|data|dataset|images?|imgs?|photos?|pictures?|pics|folders?|dir|splits?|seg|raw|crops?"
    r"|cropped|resized|jpe?g|png|final|original|labell?ed|processed|ilsvrc|imagenet|\d|(?<=\d)x"
    r"|(?<=\d)px|[\W_])"
)
_SPLIT = re.compile(f"{_AFFIX}*({'|'.join(sorted(_WORDS, reverse=True))}){_AFFIX}*")


def split_word(name: str) -> str | None:
    """train, val or test where that is all that a name says, else None.

    Case, digits, punctuation and common additions do not count: ``Training``, ``val2017``,
    ``test_images``, ``seg_train``, ``ILSVRC2012_img_val``.
    """
    match = _SPLIT.fullmatch(name.lower())
    return _WORDS[match[1]] if match else None


def normalise_split(name: str) -> str:
    """Name of a split in the store for its name in a source (``val2017`` -> ``val``)."""
    return split_word(name) or name


def split_folders(names: Iterable[str]) -> dict[str, str]:
    """Those of some sibling names that are splits' -> name of the split in the store.

    Besides those that `split_word` knows, names that differ in the word alone are splits
    together: ``signs_train`` and ``signs_test``.
    """
    names = sorted(names)
    found = {name: word for name in names if (word := split_word(name))}
    alike: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        parts = re.split(r"[\W_]+", name.lower())
        words = [part for part in parts if part in _WORDS]
        if name not in found and len(words) == 1:
            rest = tuple("" if part in _WORDS else part for part in parts)
            alike[rest][name] = _WORDS[words[0]]
    for group in alike.values():
        if len(set(group.values())) > 1:
            found |= group
    return found
