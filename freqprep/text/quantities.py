"""Amounts in words: bytes, counts, durations."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def counts(numbers: dict[str, int]) -> str:
    """``3 empty, 1 corrupt``, or ``none``."""
    return ", ".join(f"{count} {name}" for name, count in numbers.items()) or "none"


def plural(count: int, noun: str) -> str:
    """``1 shard``, ``1,200 shards``, ``2 classes``."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def duration(minutes: float) -> str:
    """Seconds below two minutes, hours from two hours on, minutes between."""
    if minutes < 2:
        return plural(max(round(minutes * 60), 1), "second")
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
