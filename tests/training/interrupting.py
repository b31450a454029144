"""An interrupt at a chosen step of a run."""

import os
import signal

from freqprep.training import loop


def interrupt_after(monkeypatch, steps):
    """Send this process a SIGINT in the step of that number."""
    real, done = loop.train_step, []

    def step(run, batch):
        done.append(batch.step)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        real(run, batch)

    monkeypatch.setattr(loop, "train_step", step)
