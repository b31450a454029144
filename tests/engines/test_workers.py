"""Local workers: how many there are when nobody says, and what reaches them."""

import ctypes
import os
import signal
import subprocess
import sys

import joblib
import pytest
import threadpoolctl
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


def test_ctrl_c_while_the_libraries_of_blas_are_looked_for_arrives(monkeypatch):
    """They are looked for in a callback from C, where an exception would be dropped."""

    def look():
        ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))()
        return threadpoolctl.ThreadpoolController()

    monkeypatch.setattr(local, "ThreadpoolController", look)
    local._blas.cache_clear()
    with pytest.raises(KeyboardInterrupt):
        local.on_one_core(abs, -1)
    monkeypatch.undo()
    assert local.on_one_core(abs, -1) == 1
