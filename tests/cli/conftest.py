"""The command in this process."""

import os
import signal
import sys

import pytest
from freqprep_cli.main import main


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command in this process: its exit code, stdout and stderr."""
    handler = signal.getsignal(signal.SIGTERM)

    def called(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["freqprep", *map(os.fspath, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        output = capsys.readouterr()
        return int(code or 0), output.out, output.err

    yield called
    signal.signal(signal.SIGTERM, handler)
