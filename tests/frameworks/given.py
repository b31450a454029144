"""What trainers of other packages were given is compared with the loader's order and the store."""

import numpy as np
import torch

import freqprep
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.streaming.shuffling import sequence

import_torchvision()  # these packages import it, and alone it cannot be where torch is for CPUs

CHANNELS = ["y_0_1", "cb_0_0", "y_0_0"]
SEED, BATCH, EPOCHS = 5, 16, 4


class Network(torch.nn.Module):
    """Something to train; it remembers nothing of what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 2 * 2, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x / 100)


class Seen:
    """Copies of what steps were given, in order."""

    def __init__(self) -> None:
        self.x: list[np.ndarray] = []
        self.y: list[np.ndarray] = []

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.x.append(x.detach().cpu().numpy().copy())
        self.y.append(y.cpu().numpy().copy())

    def are_epochs_of(self, loader: freqprep.Loader, epochs: int, first: int = 0) -> None:
        """Each epoch's batches are exactly the loader's, with the images and labels of its rows."""
        assert len(self.x) == epochs * len(loader)
        split, plan = loader.split, loader._order.plan
        for epoch in range(epochs):
            rows = sequence(split.valid, plan, SEED, first + epoch)[0]
            rows = rows if plan.mode == "rows" else rows[: len(loader) * BATCH]
            mine = slice(epoch * len(loader), (epoch + 1) * len(loader))
            np.testing.assert_array_equal(np.concatenate(self.x[mine]), split.read(rows, CHANNELS))
            np.testing.assert_array_equal(np.concatenate(self.y[mine]), split.labels[rows])
