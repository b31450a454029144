"""Run functions in several threads at the same time."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SECONDS = 300


def together(*work: Callable[[], object]) -> list:
    """Run each function in its own thread; return the results or raise the first error."""
    start = threading.Barrier(len(work))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # switch often, to provoke races

    def begin(one: Callable[[], object]) -> object:
        start.wait(SECONDS)
        return one()

    try:
        with ThreadPoolExecutor(len(work)) as pool:
            return [done.result(SECONDS) for done in [pool.submit(begin, one) for one in work]]
    finally:
        sys.setswitchinterval(before)
