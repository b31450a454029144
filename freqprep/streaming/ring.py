"""Memory for batches on the host: places that batches are read into ahead, and given from."""

from __future__ import annotations

import weakref
from collections import deque

import numpy as np

LENT_AT_MOST = 2
"""Places that a consumer may hold: in a loop the batch before, until the next one has its name."""


class _Lent(weakref.ref[np.ndarray]):
    """An array that was given away, and the place that is its memory."""

    place: int


class Ring:
    """Places of equal size, each for one batch at a time; it outlives the iterators.

    A place that was given away as memory of a tensor is free again when nothing refers to it
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
        self.lent: dict[int, _Lent] = {}
        # Appended to whenever memory is let go of: in any thread, at any point of its work. By
        # the deque's own method, because an interrupt in a Python function would be lost there.
        self._returned: deque[_Lent] = deque()
        self._current: Places | None = None

    def __len__(self) -> int:
        """Number of places."""
        return len(self.codes)

    @property
    def images(self) -> int:
        """Rows of a place."""
        return int(self.codes.shape[1])

    def begin(self, batches: int) -> Places:
        """Places for an iterator of so many batches; what is lent stays lent.

        Those of the iterator before are no longer assigned, and what it frees is nobody's concern.
        """
        self.collect()
        free = [place for place in range(len(self)) if place not in self.lent]
        self._current = Places(self, batches, free)
        return self._current

    def lend(self, place: int, images: int) -> np.ndarray:
        """The first rows of a place, which is taken until the array is gone."""
        array = self.codes[place, :images]
        self.lent[place] = _Lent(array, self._returned.append)
        self.lent[place].place = place
        return array

    def collect(self) -> None:
        """Take back what has come back, for the iterator that is under way."""
        while self._returned:
            place = self._returned.popleft().place
            del self.lent[place]
            if self._current is not None:
                self._current.free_place(place)


class Places:
    """Which place of a ring each batch of one iterator has: 0, 1, ..., in order, as some are free.

    Parameters
    ----------
    ring : Ring
    batches : int
    free : list of int
        Places to begin with.
    """

    def __init__(self, ring: Ring, batches: int, free: list[int]) -> None:
        self._ring, self._free = ring, free
        self._place = np.full(batches, -1)
        self._assigned = 0

    @property
    def codes(self) -> np.ndarray:
        """The ring's memory, a row after the other: shape (places * rows, C, rows, columns)."""
        return self._ring.codes.reshape(-1, *self._ring.codes.shape[2:])

    def assign(self) -> int:
        """Give the next batches the free places; how many have got one, from the first on."""
        self._ring.collect()
        while self._free and self._assigned < len(self._place):
            self._place[self._assigned] = self._free.pop()
            self._assigned += 1
        return self._assigned

    def slots(self, slots: np.ndarray) -> np.ndarray:
        """Where on the first axis of `codes` rows of batches go.

        Parameters
        ----------
        slots : ndarray of int64
            Batch times rows of a place, plus row in the batch.
        """
        batch, row = np.divmod(slots, self._ring.images)
        return self._place[batch] * self._ring.images + row

    def batch(self, number: int, images: int) -> np.ndarray:
        """The first rows of a batch, in the ring."""
        return self._ring.codes[self._place[number], :images]

    def lend(self, number: int, images: int) -> np.ndarray | None:
        """The same, to keep: its place is free again when the array is gone.

        None if the consumer holds as many as it may; then the batch is to be copied, and freed.
        """
        self._ring.collect()
        if len(self._ring.lent) >= LENT_AT_MOST:
            return None
        return self._ring.lend(int(self._place[number]), images)

    def free(self, number: int) -> None:
        """A batch that was not lent may be overwritten."""
        self.free_place(int(self._place[number]))

    def free_place(self, place: int) -> None:
        """A place may be assigned again."""
        self._free.append(place)
