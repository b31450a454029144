"""Mutants of COCO's annotations: of the values that its readers compute with."""

from __future__ import annotations

import json
import random
from typing import Any

from fuzz.mutation import mutant_document
from fuzz.sealed import document

_NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 0.5, -0.0, 1e-300, 1e300, -1e300, 1e9, 2**31, 2**53 + 1, 2**63, -(2**63), 10**200,
    True, None, "1", "1e5", "", [], [1], {},
)  # fmt: skip
_COUNTS = (
    "", "0", "1", "\\", "ooooo", "P" * 40, "PPYo", "`" * 9, "n0n0n0", "\u00e9", "\0", "0" * 3000,
    "m`0", "oooooooooooooooo0", "1" * 50,
)  # fmt: skip
_SIDES = ([50, 50], [40, 60], [0, 0], [2**31, 2], [60, 40])


def coco(data: bytes, chance: random.Random) -> bytes:
    """Change annotations by what they are: boxes, polygons, runs, sizes, ids; or as any JSON."""
    if chance.random() < 0.35:
        return document(data, chance)
    found = json.loads(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        one = chance.choice(found["annotations"])
        kind = chance.random()
        if kind < 0.5:
            one["segmentation"] = _segmentation(one["segmentation"], chance)
        elif kind < 0.65:
            one["bbox"] = _numbers([5, 10, 20.5, 12], chance)
        elif kind < 0.75:
            one[chance.choice(list(one))] = chance.choice(_NUMBERS)
        elif kind < 0.85:
            image = chance.choice(found["images"])
            image[chance.choice(list(image))] = chance.choice((*_NUMBERS, "../11.jpg", "11.jpg"))
        elif kind < 0.95:
            category = chance.choice(found["categories"])
            category[chance.choice(list(category))] = chance.choice((*_NUMBERS, "dog"))
        else:
            found["annotations"] *= 2
    return json.dumps(found).encode()


def _segmentation(before: Any, chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.3:
        size = chance.choice((*_SIDES, _numbers([50, 50], chance)))
        return {"size": size, "counts": chance.choice((*_COUNTS, _runs(chance), _text(chance)))}
    if kind < 0.6:
        points = [chance.uniform(-99, 99) for _ in range(2 * chance.randrange(1, 9))]
        return [_numbers(points, chance), *(before if isinstance(before, list) else [])]
    if kind < 0.7:
        return [[chance.choice((-1, 1)) * 1e9 * (chance.random() < 0.5), 5.5] * 3] * 40
    return mutant_document({"": before}, chance)


def _runs(chance: random.Random) -> list[Any]:
    whole = chance.choice((2500, 2400, 1, 0))
    first = chance.randrange(whole + 1)
    return _numbers([first, whole - first], chance)


def _text(chance: random.Random) -> str:
    return "".join(chr(chance.randrange(48, 112)) for _ in range(chance.randrange(30)))


def _numbers(values: list[Any], chance: random.Random) -> list[Any]:
    """Change some of a list of numbers, or its length."""
    found = list(values)
    for _ in range(chance.choice((0, 1, 1, 2))):
        if found and chance.random() < 0.8:
            found[chance.randrange(len(found))] = chance.choice(_NUMBERS)
        else:
            found.insert(0, chance.choice(_NUMBERS))
    return found
