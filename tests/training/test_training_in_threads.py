"""A run in a thread of a larger program: its draws are its own, nothing of it is left behind."""

import signal

import pytest
import torch
from in_threads import together

from freqprep.errors import UsageError
from freqprep.training import distributed, loop
from freqprep.training.distributed import init_distributed
from freqprep.training.loop import train


def test_a_run_leaves_the_callers_generator_and_signals(tiny):
    numbers = (signal.SIGINT, signal.SIGTERM)
    torch.manual_seed(11)
    expected, handlers = torch.rand(5), [signal.getsignal(number) for number in numbers]
    torch.manual_seed(11)
    (config,) = together(lambda: train(tiny(epochs=1)))
    assert config.results
    assert torch.equal(torch.rand(5), expected)
    assert [signal.getsignal(number) for number in numbers] == handlers


def test_two_runs_at_a_time_are_refused_because_they_would_share_their_draws(tiny):
    request = tiny()
    with loop._own_draws(torch.device("cpu")), pytest.raises(UsageError, match="another thread"):
        together(lambda: train(request))
    assert not request.run.exists()
    with loop._own_draws(torch.device("cpu")):  # the refusal let go of nothing and kept nothing
        pass


def test_what_is_set_for_cuda_is_put_back(monkeypatch):
    monkeypatch.setattr(distributed, "choose_device", lambda *_: torch.device("cuda"))

    def settings() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark

    before = settings()
    with pytest.raises(ZeroDivisionError), init_distributed("cuda"):
        assert settings() == ("high", True) != before
        torch.backends.cudnn.benchmark = False  # a detector's run
        raise ZeroDivisionError
    assert settings() == before
