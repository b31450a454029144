"""The command in this process."""

import importlib.util
import os
import signal
import sys
from unittest import mock

import pytest
from freqprep_cli.main import main
from narrow_networks import narrow_classifiers, narrow_detectors


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


@pytest.fixture(autouse=True, scope="module")
def quick_runs():
    """Networks of few channels, and runs that draw no curves: `test_metrics` draws some."""
    if importlib.util.find_spec("torch") is None:
        yield
        return
    curves = mock.patch("freqprep.training.curves.as_png", lambda draw: b"\x89PNG")
    with narrow_classifiers(), narrow_detectors(), curves:
        yield
