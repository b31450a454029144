"""Memory that runs out is one line and exit code 1, in the words of whoever noticed it."""

import numpy as np
import pytest
from freqprep_cli import main as command

ERRORS = [
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(float)),
    RuntimeError("can't start new thread"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 4 bytes\nmore"),
    ImportError("libopenblas.so: failed to map segment from shared object"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_it_is_named(monkeypatch, capsys, error):
    def fail() -> None:
        raise error

    monkeypatch.setattr(command, "_run", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: memory ran out (") and "--jobs" in line


@pytest.mark.parametrize("error", [RuntimeError("other"), ImportError("no module")], ids=str)
def test_other_errors_of_the_same_types_pass(monkeypatch, error):
    def fail() -> None:
        raise error

    monkeypatch.setattr(command, "_run", fail)
    with pytest.raises(type(error)):
        command.main()
