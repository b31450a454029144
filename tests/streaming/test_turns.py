"""Turns: few threads at work, and of those that wait the one that is wanted first."""

import threading
from concurrent.futures import ThreadPoolExecutor

from in_threads import SECONDS

from freqprep.streaming.turns import Turns


def test_those_who_wait_work_in_order_whenever_they_came():
    turns, begun = Turns(1), []
    coming = threading.Semaphore(0)

    def work(number: int) -> None:
        coming.release()
        with turns.turn(number):
            begun.append(number)

    with ThreadPoolExecutor(8) as threads:
        with turns.turn(0):
            done = []
            for number in (5, 3, 8, 1, 7, 2, 6, 4):
                done.append(threads.submit(work, number))
                assert coming.acquire(timeout=SECONDS)
                while len(turns._waiting) < len(done):  # it is on its way to the queue
                    threading.Event().wait(0.001)
        for one in done:
            one.result(SECONDS)
    assert begun == sorted(begun) and len(begun) == 8


def test_at_most_so_many_work_at_once_also_after_errors():
    turns, lock, most = Turns(3), threading.Lock(), [0, 0]

    def work(number: int) -> None:
        with turns.turn(number):
            with lock:
                most[0] += 1
                most[1] = max(most)
            threading.Event().wait(0.001)
            with lock:
                most[0] -= 1
            if number % 5 == 0:
                raise ZeroDivisionError(number)

    with ThreadPoolExecutor(16) as threads:
        done = [threads.submit(work, number) for number in range(100)]
    assert sum(one.exception() is not None for one in done) == 20
    assert 1 < most[1] <= 3 and turns._free == 3 and not turns._waiting
