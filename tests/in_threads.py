"""Work done by several threads at the same time."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SECONDS = 300


def together(*work: Callable[[], object]) -> list:
    """Do all of it at the same time, each in a thread; the results, or the first error."""
    start = threading.Barrier(len(work))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # what two threads can do to each other, they shall

    def begin(one: Callable[[], object]) -> object:
        start.wait(SECONDS)
        return one()

    try:
        with ThreadPoolExecutor(len(work)) as pool:
            return [done.result(SECONDS) for done in [pool.submit(begin, one) for one in work]]
    finally:
        sys.setswitchinterval(before)
