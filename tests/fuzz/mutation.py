"""Mutants of bytes and of JSON documents: functions of a random generator, and so of a seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

_EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, -5, 1, 2**31, 2**53 + 1, 2**63, 10**30, 0.5, -0.0, 1e300,
    float("nan"), float("inf"), "", "17", "\0", "\ud800", "../../x", "/etc/passwd", "a" * 5000,
    [], [[]], {}, {"": []}, [None] * 3, [""] * 1000,
)  # fmt: skip


def mutant(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes: set, flipped, removed, repeated, moved, or all from a point on."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        _CHANGES[chance.randrange(len(_CHANGES))](found, chance)
    return bytes(found)


def _set(data: bytearray, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.choice((chance.randrange(256), *_EDGES))


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _number(data: bytearray, chance: random.Random) -> None:
    """Write an edge of 16, 32 or 64 bits, as lengths and offsets have them."""
    width, order = chance.choice((2, 4, 8)), chance.choice(("little", "big"))
    value = chance.choice((0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), chance.randrange(999)))
    at = chance.randrange(max(len(data) - width, 1))
    data[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type]


def _remove(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    del data[at : at + chance.choice((1, 4, 64))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    data[at:at] = data[at : at + chance.choice((1, 8, 200))] * chance.choice((1, 3))


def _cut(data: bytearray, chance: random.Random) -> None:
    if chance.random() < 0.3:  # most of such files end early, and say nothing more
        del data[chance.randrange(len(data) + 1) :]


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _set, _set, _flip, _flip, _number, _remove, _repeat, _cut,
)  # fmt: skip


def mutant_document(document: Any, chance: random.Random) -> Any:
    """Replace, remove or add some values inside a JSON document."""
    found = {"": copy.deepcopy(document)}
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = _places(found)
        parent, key = chance.choice(places)
        kind = chance.random()
        if kind < 0.6:
            parent[key] = copy.deepcopy(chance.choice(_HOSTILE))
        elif kind < 0.75 and parent is not found:
            del parent[key]
        elif kind < 0.9:
            other, there = chance.choice(places)
            parent[key] = copy.deepcopy(other[there])
        elif isinstance(parent[key], (int, float)) and not isinstance(parent[key], bool):
            parent[key] += chance.choice((-1, 1, 128, -parent[key] * 2))
        else:
            parent[key] = {"nested": [parent[key]] * 2}
    return found[""]


def _places(document: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return each value's list or object, and its index or key there."""
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(min(len(node), 50))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], (dict, list)):
                waiting.append(node[key])
    return found
