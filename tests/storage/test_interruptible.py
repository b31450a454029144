"""Ctrl-C is answered while a server says nothing."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
import synthetic
from object_servers import CREDENTIALS

from freqprep.storage.interruptible import in_threads, interruptible


def test_ctrl_c_ends_a_command_whose_server_is_silent():
    pytest.importorskip("obstore")
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = subprocess.Popen(
            synthetic.command("info", "s3://photos/a.zarr"),
            env={**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": endpoint},
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            assert b"/photos/a.zarr/zarr.json" in connection.recv(1000)  # it waits for the answer
            command.send_signal(signal.SIGINT)
            assert command.wait(30) == 130
            assert command.stderr.read() == ""
            command.stderr.close()


def test_the_main_thread_alone_waits_for_another_one():
    def here() -> threading.Thread:
        return threading.current_thread()

    assert interruptible(here) is not threading.main_thread()
    (other,) = in_threads([lambda: (here(), interruptible(here))], 1)
    assert other[0] is other[1]


def test_results_come_in_order_and_the_first_error_ends_them():
    def fail() -> int:
        raise ValueError("number 3")

    calls = [lambda: 1, lambda: 2, fail, lambda: 4]
    found = in_threads(calls, 2)
    assert (next(found), next(found)) == (1, 2)
    with pytest.raises(ValueError, match="number 3"):
        next(found)
    assert list(in_threads([], 4)) == []


@pytest.mark.parametrize(("size", "ahead"), [(0, 8), (2**26, 4), (2**29, 1)])
def test_calls_are_begun_a_little_ahead(size, ahead):
    begun = 0

    def calls() -> Iterator[Callable[[], int]]:
        nonlocal begun
        for number in range(100):
            begun += 1
            yield lambda number=number: number

    found = in_threads(calls(), 4, [size] * 100)
    for number in range(50):
        assert next(found) == number
        assert begun <= number + 1 + ahead + 1  # and the one whose turn has not come
    found.close()
    assert begun < 70


def test_as_many_calls_as_threads_are_made_at_a_time():
    together = threading.Barrier(5)
    assert len(list(in_threads([together.wait] * 10, 5))) == 10


def test_an_error_is_not_hidden_by_a_call_that_never_returns(monkeypatch):
    monkeypatch.setattr("freqprep.storage.interruptible._PATIENCE_SECONDS", 0.01)
    for_ever = threading.Event()

    def refuse() -> None:
        raise PermissionError("403")

    with pytest.raises(PermissionError, match="403"):
        list(in_threads([for_ever.wait, refuse], 2))
    for_ever.set()
