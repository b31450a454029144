"""Memory for batches on the host: places that batches are read into ahead, and given from."""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np

LENT_AT_MOST = 2
"""Places that a consumer may hold: in a loop the batch before, until the next one has its name."""


class Ring:
    """Places of equal size, each for one batch at a time.

    An iterator's batches, numbered 0, 1, ..., get places in order, as soon as some are free. A
    place that was given away as memory of a tensor is free again when nothing refers to it
    any more: neither the batch nor a view of its tensors, whoever made it.

    Parameters
    ----------
    codes : ndarray of int8 or int16, shape (places, rows of a batch, C, grid rows, grid columns)

    Attributes
    ----------
    codes : ndarray
        The memory.
    """

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes
        self._lent: set[int] = set()
        # Appended to whenever memory is let go of: in any thread, at any point of its work.
        self._returned: deque[int] = deque()
        self._place = np.zeros(0, np.int64)
        self._free: list[int] = []
        self._assigned = 0

    def __len__(self) -> int:
        """Number of places."""
        return len(self.codes)

    @property
    def images(self) -> int:
        """Rows of a place."""
        return self.codes.shape[1]

    def begin(self, batches: int) -> None:
        """Forget the batches before, and be ready for so many; what is lent stays lent."""
        self._collect()
        self._free = [place for place in range(len(self)) if place not in self._lent]
        self._place = np.full(batches, -1)
        self._assigned = 0

    def assign(self) -> int:
        """Give the next batches the free places; how many have got one, from the first on."""
        self._free += self._collect()
        while self._free and self._assigned < len(self._place):
            self._place[self._assigned] = self._free.pop()
            self._assigned += 1
        return self._assigned

    def slots(self, slots: np.ndarray) -> np.ndarray:
        """Where on the first axis of ``codes``, flattened with the second, rows of batches go.

        Parameters
        ----------
        slots : ndarray of int64
            Batch times `images`, plus place in the batch.
        """
        batch, row = np.divmod(slots, self.images)
        return self._place[batch] * self.images + row

    def batch(self, number: int, images: int) -> np.ndarray:
        """The first rows of a batch, in the ring."""
        return self.codes[self._place[number], :images]

    def lend(self, number: int, images: int) -> np.ndarray | None:
        """The same, to keep: its place is free again when the array is gone.

        None if the consumer holds as many as it may; then the batch is to be copied, and freed.
        """
        self._free += self._collect()
        if len(self._lent) >= LENT_AT_MOST:
            return None
        place = int(self._place[number])
        array = self.codes[place, :images]
        self._lent.add(place)
        weakref.finalize(array, self._returned.append, place).atexit = False
        return array

    def free(self, number: int) -> None:
        """A batch that was not lent may be overwritten."""
        self._free.append(int(self._place[number]))

    def _collect(self) -> list[int]:
        """Places that have come back."""
        found = [self._returned.popleft() for _ in range(len(self._returned))]
        self._lent.difference_update(found)
        return found
