"""Interrupts at any moment, and one loader in several threads: right batches or an error."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from batches import CHANNELS, WINDOW_BYTES

from freqprep import Loader
from freqprep.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")

LANES = {"lanes": 2, "window_bytes": 4 * WINDOW_BYTES, "batch_size": 16}


def test_interrupts_at_any_moment_neither_hang_nor_leave_threads(many: Path):
    """A timer interrupts, from somewhere inside the loader, again and again."""
    code = (
        "import sys, signal, random, threading, warnings, freqprep\n"
        "warnings.simplefilter('ignore')\n"
        "split = freqprep.open_store(sys.argv[1])['train']\n"
        "loader = freqprep.Loader(split, ['y_0_0'], batch_size=16, lanes=2, window_bytes=2**14)\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, interrupt)\n"
        "chance, met = random.Random(0), 0\n"
        "for batch in loader: pass\n"
        "def interrupted():\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0005, 0.006))\n"
        "        for batch in loader: pass\n"
        "    finally: signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "for _ in range(150):\n"
        "    try: interrupted()\n"
        # Python's own start of a thread does not bear interrupts: an error of its lock.
        "    except (KeyboardInterrupt, RuntimeError): met += 1\n"
        "wrong = sum((b.codes.numpy() != split.read_codes(b.rows, ['y_0_0'])).any()"
        " for b in loader)\n"
        "loader.close()\n"
        "left = [t for t in threading.enumerate()"
        " if t.name == 'freqprep-loader' and t.is_alive()]\n"
        "for thread in left: thread.join(30)\n"
        "print(met > 50, wrong, sum(thread.is_alive() for thread in left))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(many)], capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "True 0 0\n", done.stderr


def test_one_loader_in_several_threads_gives_right_batches_or_an_error(split):
    loader = Loader(split, CHANNELS, **LANES)
    wrong, ended = [], []

    def consume() -> None:
        for _ in range(40):
            try:
                for batch, _ in zip(loader, range(5), strict=False):
                    expected = split.read_codes(batch.rows, CHANNELS)
                    wrong.append(not np.array_equal(batch.codes, expected))
            except UsageError:
                ended.append(1)

    workers = [threading.Thread(target=consume) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong and not any(wrong)
