"""Too few files that may be open: workers start, or the system's error says why not."""

import subprocess
import sys

PROGRAM = """
import errno, os, resource
from freqprep.engines import local

if __name__ == "__main__":
    local.default_jobs()  # imported before files are few
    list(local.run(abs, range(3), 2))
    there = max(map(int, os.listdir("/proc/self/fd")))
    ends = set()
    for more in range(2, 40, 3):
        local._spare.end()
        resource.setrlimit(resource.RLIMIT_NOFILE, (there + more, 4096))
        try:
            ends.add(sorted(local.run(abs, range(3), 2)) == [0, 1, 2])
        except OSError as error:
            ends.add(errno.errorcode[error.errno])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    print(sorted(map(str, ends)))
"""


def test_too_few_open_files_are_named(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['EMFILE', 'True']\n" and "Traceback" not in done.stderr
