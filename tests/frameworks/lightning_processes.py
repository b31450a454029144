"""Train in two processes with Lightning, and write down the rows that each was given."""

import sys
from pathlib import Path

import numpy as np
import torch
from given import CHANNELS, SEED, Network

import freqprep

import lightning  # isort: skip  (after torchvision, which it imports, was made to work)

STORE, FOLDER = map(Path, sys.argv[1:])


class Writing(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network, self.rows = Network(), []

    def training_step(self, batch, index):
        self.rows.append(batch.rows)
        return torch.nn.functional.cross_entropy(self.network(batch.coefficients), batch.labels)

    def on_train_end(self) -> None:
        np.save(FOLDER / f"{self.global_rank}.npy", np.stack(self.rows))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


# Made before there is a process group.
loader = freqprep.Loader(freqprep.open_store(STORE)["train"], CHANNELS, batch_size=16, seed=SEED)
lightning.Trainer(
    accelerator="cpu",
    strategy="ddp",
    devices=2,
    max_epochs=2,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
).fit(Writing(), loader)
