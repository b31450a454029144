"""Limits of a pickle that `torch.load` is given: it runs no code, and may still take for ever.

A tuple is hashed as soon as it is a key. One that has another twice, and that one another twice,
has a thousand million parts in 30 steps of a pickle; one inside the other a million times
overflows the stack of C. State dicts have tuples of a few numbers.
"""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO

MOST_STEPS = 2**21
"""Steps of a pickle, at most; that of a detector's checkpoint has 50,000."""

MOST_PARTS = 10_000
"""Parts of a tuple, with those of the tuples inside it."""

_CONTAINERS = {
    "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "LIST", "DICT", "APPEND", "APPENDS", "SETITEM",
    "SETITEMS", "ADDITEMS",
}  # fmt: skip
"""Steps whose result cannot be hashed, however much is in it."""

_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_MARK = -1


def check_pickle(file: BinaryIO) -> bool:
    """Read the steps of a pickle from where a file is, running none.

    Parameters
    ----------
    file : binary file

    Returns
    -------
    bool
        Whether it is a whole one, behind which the file then is. One that is not fails at the same
        step when it is loaded.

    Raises
    ------
    ValueError
        It has more steps or larger tuples than weights need.
    """
    stack, memo = list[int](), dict[int, int]()  # parts of each value
    steps = pickletools.genops(file)
    for _ in range(MOST_STEPS):
        try:
            step, argument, _ = next(steps)
            _follow(step, argument, stack, memo)
        except StopIteration:
            return True
        except (ValueError, LookupError):
            return False
        if stack and stack[-1] > MOST_PARTS:
            raise ValueError(f"its pickle has a tuple of more than {MOST_PARTS} parts")
    raise ValueError(f"its pickle has more than {MOST_STEPS} steps")


def _follow(
    step: pickletools.OpcodeInfo, argument: Any, stack: list[int], memo: dict[int, int]
) -> None:
    """Replace what a step takes from the stack by what it leaves there."""
    if step.name in _PUTS:
        memo[len(memo) if argument is None else argument] = stack[-1]
    elif step.name in _GETS:
        stack.append(memo[argument])
    elif step.name == "DUP":
        stack.append(stack[-1])
    elif step.name == "MARK":
        stack.append(_MARK)
    else:
        taken, before = 0, list(step.stack_before)
        if pickletools.markobject in before:
            before = before[: before.index(pickletools.markobject)]
            while (parts := stack.pop()) != _MARK:
                taken += parts
        taken += sum(stack.pop() for _ in before)
        stack += [1 if step.name in _CONTAINERS else 1 + taken] * len(step.stack_after)
