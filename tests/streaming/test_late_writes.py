"""A thread that is held up in the middle of a copy, and goes on when its iterator has ended."""

import contextlib
import threading

import numpy as np
import pytest

pytest.importorskip("torch")

from batches import CHANNELS
from in_threads import SECONDS

from freqprep import Loader
from freqprep.errors import UsageError
from freqprep.streaming import filling, pipeline

pytestmark = pytest.mark.filterwarnings("ignore::freqprep.streaming.misuse.DroppedRows")


class HoldUp:
    """Lets the first reading thread that comes by wait until it is let go."""

    def __init__(self):
        self.entered, self.go, self.thread = threading.Event(), threading.Event(), None

    def __call__(self):
        if threading.current_thread().name == pipeline.THREAD_NAME and self.thread is None:
            self.thread = threading.current_thread()
            self.entered.set()
            assert self.go.wait(SECONDS)

    def before_a_batch_is_gathered(self, monkeypatch):
        take = np.take

        def held(*args, **options):
            self()
            return take(*args, **options)

        monkeypatch.setattr(filling.np, "take", held)


def consume(loader):
    with contextlib.suppress(UsageError):  # another iterator has ended this one
        list(loader)


def test_it_writes_into_no_batch_of_the_next_iterator(split, monkeypatch):
    options = {"batch_size": 16, "seed": 1, "threads": 2}
    with Loader(split, CHANNELS, **options) as loader:
        list(loader)
        expected = [batch.codes for batch in loader]
    monkeypatch.setattr(pipeline, "_PATIENCE_SECONDS", 0.01)
    with Loader(split, CHANNELS, reuse=True, **options) as loader:
        held = HoldUp()
        held.before_a_batch_is_gathered(monkeypatch)
        consumer = threading.Thread(target=consume, args=[loader])
        consumer.start()
        assert held.entered.wait(SECONDS)
        loader.set_epoch(1)
        for batch in loader:
            if batch.step == 0:
                held.go.set()
                held.thread.join(SECONDS)
            assert (batch.codes == expected[batch.step]).all(), batch.step
    consumer.join(SECONDS)
