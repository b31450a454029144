"""Names of splits, such as ``Testing``, ``train_set`` or ``seg_val``."""

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
    """Return train, val or test if a name means just that, else None.

    Case, digits, punctuation and common affixes do not count: ``Training``, ``val2017``,
    ``test_images``, ``seg_train``, ``ILSVRC2012_img_val``.
    """
    match = _SPLIT.fullmatch(name.lower())
    return _WORDS[match[1]] if match else None


def split_words(name: str) -> list[str]:
    """Return the words of a name that mean a split, in lower case: ``cifar10-Train_2`` has train.

    Words end at punctuation, digits, and a capital letter behind a small one.
    """
    words = re.split(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])", name)
    return [word.lower() for word in words if split_word(word)]


def normalise_split(name: str) -> str:
    """Return the name in the store for the name of a split in a source (``val2017`` -> ``val``)."""
    return split_word(name) or name


def split_folders(names: Iterable[str]) -> dict[str, str]:
    """Return which of sibling names are splits, with their names in the store.

    Besides names that `split_word` knows, names that differ only in the word for the split are
    splits: ``signs_train`` and ``signs_test``.
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
