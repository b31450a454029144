"""The first use of a bucket, by two threads at once: one reads, one writes."""

import subprocess
import sys

_IN_TWO_THREADS = """
import sys, threading
from importlib.machinery import PathFinder

from freqprep.errors import UsageError
from freqprep.storage.object_client import client
from freqprep.storage.object_path import ObjectPath

SERVER = "https://127.0.0.1:9"
failures = []

def reading():
    try:
        client(SERVER)
        sys.modules["obstore"].get  # what its methods call
    except BaseException as error:
        failures.append(error)

def writing():
    try:
        ObjectPath(SERVER, "key").create(b"")
    except UsageError as error:
        assert "cannot be written" in str(error), error

first, second = threading.main_thread(), threading.Thread(target=reading)
in_store = threading.Event()

def waits(thread, owner):
    frame = sys._current_frames()[thread.ident]
    return frame.f_code.co_name == "acquire" and frame.f_locals["self"].owner == owner.ident

def before_the_package():
    second.start()
    while not (waits(second, first) or in_store.is_set()):
        pass

def before_the_store():
    in_store.set()
    while threading.current_thread() is second and not waits(first, second):
        pass
    sys.setswitchinterval(10)  # the reader goes on before the writer

BEFORE = {"obstore": before_the_package, "obstore.store": before_the_store}

class Meanwhile:
    "Lets each thread get as far as it can while the other one imports."

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in BEFORE:
            return None
        spec = PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def execute_later(module):
            BEFORE[name]()
            execute(module)

        spec.loader.exec_module = execute_later
        return spec

sys.meta_path.insert(0, Meanwhile)
writing()
second.join()
assert not failures, failures
"""


def test_two_threads_may_be_the_first():
    done = subprocess.run(
        [sys.executable, "-c", _IN_TWO_THREADS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
