"""Host memory for batches: a ring of buffers that are filled ahead and lent to the consumer."""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np

LENT_AT_MOST = 2
"""Buffers that a consumer may hold: a loop keeps the last batch until it binds the next one."""


class _Lent(weakref.ref[np.ndarray]):
    """Weak reference to a lent array, with the number of its buffer."""

    buffer: int


class Ring:
    """Buffers of equal size, each for one batch at a time; it outlives the iterators.

    A buffer that was lent as the memory of a tensor is free again when nothing refers to it any
    more: neither the batch nor a view of its tensors, whoever made it.

    Parameters
    ----------
    codes : ndarray of int8 or int16, shape (buffers, rows of a batch, C, grid rows, grid columns)

    Attributes
    ----------
    codes : ndarray
        The memory that was given.
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self.lent: dict[int, _Lent] = {}
        # Appended to whenever a lent array ends: in any thread, at any point of its work. By
        # the deque's own method, because an interrupt in a Python function would be lost there.
        self._returned: deque[_Lent] = deque()
        self._current: Buffers | None = None

    def __len__(self) -> int:
        """Number of buffers."""
        return len(self.codes)

    @property
    def images(self) -> int:
        """Number of rows of a buffer."""
        return int(self.codes.shape[1])

    def begin(self, batches: int) -> Buffers:
        """Start an iterator over a number of batches; what is lent stays lent.

        The assignments of the iterator before are void, and what it frees has no effect.
        """
        self.collect()
        free = [buffer for buffer in range(len(self)) if buffer not in self.lent]
        self._current = Buffers(self, batches, free)
        return self._current

    def lend(self, buffer: int, images: int) -> np.ndarray:
        """Return the first rows of a buffer, which is taken until the array is gone."""
        array = self.codes[buffer, :images]
        self.lent[buffer] = _Lent(array, self._returned.append)
        self.lent[buffer].buffer = buffer
        return array

    def collect(self) -> None:
        """Free the buffers of lent arrays that have ended, for the current iterator."""
        while self._returned:
            buffer = self._returned.popleft().buffer
            del self.lent[buffer]
            if self._current is not None:
                self._current.free_buffer(buffer)


class Buffers:
    """Assignment of a ring's buffers to the batches 0, 1, ... of one iterator, in order.

    Parameters
    ----------
    ring : Ring
    batches : int
    free : list of int
        Numbers of the buffers that are free at the start.
    """

    def __init__(self, ring: Ring, batches: int, free: list[int]) -> None:
        self._ring, self._free = ring, free
        self._buffer_of = np.full(batches, -1)
        self._assigned = 0

    @property
    def codes(self) -> np.ndarray:
        """The ring's memory, row after row: shape (buffers * rows, C, rows, columns)."""
        return self._ring.codes.reshape(-1, *self._ring.codes.shape[2:])

    def assign(self) -> int:
        """Assign the free buffers to the next batches; return how many batches have one by now."""
        self._ring.collect()
        while self._free and self._assigned < len(self._buffer_of):
            self._buffer_of[self._assigned] = self._free.pop()
            self._assigned += 1
        return self._assigned

    def positions(self, slots: np.ndarray) -> np.ndarray:
        """Convert slots to indices on the first axis of `codes`.

        Parameters
        ----------
        slots : ndarray of int64
            Batch times rows of a buffer, plus row in the batch.

        Returns
        -------
        ndarray of int64
            Same shape as ``slots``.
        """
        batch, row = np.divmod(slots, self._ring.images)
        return self._buffer_of[batch] * self._ring.images + row

    def batch(self, number: int, images: int) -> np.ndarray:
        """Return the first rows of a batch's buffer."""
        return self._ring.codes[self._buffer_of[number], :images]

    def lend(self, number: int, images: int) -> np.ndarray | None:
        """Lend the first rows of a batch's buffer, which is free again when the array is gone.

        Returns None if the consumer holds as many as it may; copy the batch then, and free it.
        """
        self._ring.collect()
        if len(self._ring.lent) >= LENT_AT_MOST:
            return None
        return self._ring.lend(int(self._buffer_of[number]), images)

    def free(self, number: int) -> None:
        """Free the buffer of a batch that was not lent."""
        self.free_buffer(int(self._buffer_of[number]))

    def free_buffer(self, buffer: int) -> None:
        """Make a buffer available for the next batches."""
        self._free.append(buffer)
