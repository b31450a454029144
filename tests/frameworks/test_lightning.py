"""A loader in Lightning: epochs, sanity checks, limits, resuming, several processes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from given import CHANNELS, EPOCHS, SEED, Network, Seen

import freqprep

lightning = pytest.importorskip("lightning", reason="pip install 'freqprep[frameworks]'")
pytestmark = pytest.mark.filterwarnings("ignore")


class Module(lightning.LightningModule):
    def __init__(self, seen: Seen, validated: Seen | None = None) -> None:
        super().__init__()
        self.network, self.seen, self.validated = Network(), seen, validated

    def training_step(self, batch, index):
        x, y = batch
        self.seen.add(x, y)
        loss = torch.nn.functional.cross_entropy(self.network(x), y)
        self.log("loss", loss, on_epoch=True)  # the size of a batch is looked for in it
        return loss

    def validation_step(self, batch, index):
        x, y = batch
        self.validated.add(x, y)
        self.log("correct", (self.network(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def trainer(folder, **options):
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
    }
    return lightning.Trainer(
        **quiet | {"max_epochs": EPOCHS, "enable_checkpointing": False} | options
    )


def test_every_epoch_is_the_loaders(train, seen, tmp_path):
    trainer(tmp_path).fit(Module(seen), train)
    seen.are_epochs_of(train, EPOCHS)


def test_accumulated_gradients(train, seen, tmp_path):
    trainer(tmp_path, accumulate_grad_batches=4).fit(Module(seen), train)
    seen.are_epochs_of(train, EPOCHS)


def test_validation_sees_all_after_a_sanity_check_and_twice_an_epoch(train, val, seen, tmp_path):
    validated = Seen()
    trainer(tmp_path, val_check_interval=0.5).fit(Module(seen, validated), train, val)
    seen.are_epochs_of(train, EPOCHS)
    sanity = 2
    del validated.x[:sanity], validated.y[:sanity]
    validated.are_epochs_of(val, 2 * EPOCHS)


def test_a_limited_epoch_is_another_one_each_time(train, seen, tmp_path):
    trainer(tmp_path, limit_train_batches=3).fit(Module(seen), train)
    for epoch in range(EPOCHS):
        train.set_epoch(epoch)
        batches = zip(range(3), train, seen.x[3 * epoch :], strict=False)
        for _, batch, found in batches:
            np.testing.assert_array_equal(found, batch.coefficients)


def test_a_run_goes_on_in_mid_epoch(photos, train, seen, tmp_path):
    """Lightning keeps a loader's state with its checkpoints."""
    steps = len(train) + 5
    saving = lightning.pytorch.callbacks.ModelCheckpoint(
        tmp_path, "run", every_n_train_steps=steps, save_top_k=-1
    )
    begun = trainer(tmp_path, callbacks=[saving], enable_checkpointing=True, max_steps=steps + 4)
    begun.fit(Module(seen), train)
    del seen.x[steps:], seen.y[steps:]  # what came after the checkpoint is lost
    split = freqprep.open_store(photos)["train"]
    again = freqprep.Loader(split, CHANNELS, batch_size=16, seed=SEED)
    trainer(tmp_path).fit(Module(seen), again, ckpt_path=tmp_path / "run.ckpt", weights_only=False)
    seen.are_epochs_of(train, EPOCHS)


def test_two_processes_share_each_batch(photos, tmp_path):
    """A script as users start it: Lightning starts it a second time for the second process."""
    script = Path(__file__).parent / "lightning_processes.py"
    subprocess.run([sys.executable, script, photos, tmp_path], check=True, timeout=300)
    ranks = [np.load(tmp_path / f"{rank}.npy") for rank in range(2)]
    split = freqprep.open_store(photos)["train"]
    loader = freqprep.Loader(split, CHANNELS, batch_size=16, seed=SEED)
    for epoch in range(2):
        expected = np.stack([batch.rows for batch in loader])
        mine = slice(epoch * len(loader), (epoch + 1) * len(loader))
        for rank in range(2):
            np.testing.assert_array_equal(ranks[rank][mine], expected[:, rank::2])
