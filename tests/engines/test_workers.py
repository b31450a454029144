"""Local workers: how many there are when nobody says, and what reaches them."""

import signal
import subprocess
import sys

import joblib
from in_threads import SECONDS

from freqprep.engines import Workers, local, workers


def test_by_default_there_is_a_process_a_core(monkeypatch):
    monkeypatch.setattr(workers, "default_jobs", local.default_jobs)  # other tests have one
    assert Workers().count == joblib.cpu_count()
    assert Workers(3).count == 3


HELD = """
import signal
from freqprep.engines import local

def held(_):
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())

if __name__ == "__main__":
    print(*map(sorted, local.run(held, range(20), jobs=2)), sep="\\n")
"""


def test_no_worker_of_a_new_process_gets_its_signals(tmp_path):
    (tmp_path / "held.py").write_text(HELD)
    done = subprocess.run(
        [sys.executable, "held.py"], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert not done.stderr
    expected = str([signal.SIGINT, signal.SIGTERM])
    assert done.stdout.splitlines() == [expected] * 20
