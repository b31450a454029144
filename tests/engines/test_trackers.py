"""A tracker of joblib's semaphores is killed: the work ends, and the terminal is clean."""

import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys, psutil
    from freqprep.engines import local

    def trackers():
        children = psutil.Process().children()
        return [c.pid for c in children if "tracker" in " ".join(c.cmdline())]

    if __name__ == "__main__":
        done = []
        for result in local.run(abs, range(40), 2):
            done.append(result)
            if len(done) == 2:
                found = trackers()
                for process in found if sys.argv[1] == "trackers" else [os.getpid()]:
                    os.kill(process, signal.SIGKILL)
                    os.waitpid(process, 0)
        if "again" in sys.argv:
            list(local.run(abs, range(40), 3))  # other workers
        if "by joblib" in sys.argv:  # a semaphore goes just after the tracker was killed
            from joblib.externals.loky.backend import resource_tracker

            for process in trackers():
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
            resource_tracker.unregister("/of-the-killed-one", "semlock")
        print(len(found), sorted(done) == list(range(40)))
    """
)


@pytest.mark.parametrize("more", [[], ["again"]])
def test_a_killed_tracker_leaves_nothing_on_the_terminal(tmp_path, more):
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, "-W", "default", str(tmp_path / "program.py"), "trackers", *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "2 True\n")
    assert done.stderr == ""


def test_a_tracker_that_joblib_starts_again_is_silent(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, "-W", "ignore", str(tmp_path / "program.py"), "trackers", "by joblib"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 True\n", "")


def test_a_killed_main_process_leaves_nothing_on_the_terminal(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "program.py"), "itself"]
    # The pipe is at its end when all processes that have it are: the tracker, too.
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL and done.stderr == ""
    assert not [p for p in psutil.Process(os.getpid()).children() if "program.py" in p.cmdline()]
