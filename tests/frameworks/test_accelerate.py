"""A loader beside a model that Accelerate prepared, in one process and in two."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from given import BATCH, CHANNELS, EPOCHS, SEED, Network
from ranks import on_ranks

import freqprep

accelerate = pytest.importorskip("accelerate", reason="pip install 'freqprep[frameworks]'")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("accumulation", [1, 4])
def test_every_epoch_is_the_loaders(train, seen, accumulation):
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    network = Network()
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    network, optimizer, loader = accelerator.prepare(network, optimizer, train)
    held = []
    for _ in range(EPOCHS):
        for _, batch in zip(range(len(loader)), loader, strict=False):
            with accelerator.accumulate(network):
                x, y = accelerate.utils.send_to_device(batch, accelerator.device)
                held.append((x, y))
                accelerator.backward(torch.nn.functional.cross_entropy(network(x), y))
                optimizer.step()
                optimizer.zero_grad()
    for x, y in held:
        seen.add(x, y)
    seen.are_epochs_of(train, EPOCHS)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_prepared_dataloader_begins_with_the_epoch_that_it_is_told(photos, processes):
    accelerate.Accelerator(cpu=True)
    dataset = freqprep.Dataset(freqprep.open_store(photos)["train"], CHANNELS)
    sampler = dataset.batch_sampler(BATCH, seed=SEED, rank=0, world_size=1)
    expected = {}
    for epoch in (0, 3):
        sampler.set_epoch(epoch)
        expected[epoch] = dataset[next(iter(sampler))[0]][0]
    sampler.set_epoch(0)
    prepared = accelerate.data_loader.prepare_data_loader(
        torch.utils.data.DataLoader(dataset, batch_sampler=sampler),
        num_processes=processes,
        process_index=0,
        device=torch.device("cpu"),
        rng_types=[],
    )
    assert torch.equal(next(iter(prepared))[0][0], expected[0])
    prepared.set_epoch(3)
    assert torch.equal(next(iter(prepared))[0][0], expected[3])


def test_two_processes_share_each_batch(photos, tmp_path, monkeypatch):
    script = str(Path(__file__).parent / "accelerate_processes.py")
    monkeypatch.setattr(sys, "argv", [script, str(photos), str(tmp_path)])

    def run() -> bool:
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)  # of other tests
        return bool(runpy.run_path(script, run_name="__main__"))

    ended = on_ranks(run)
    assert ended == [(0, True)] * 2
    rows = [np.load(tmp_path / f"{rank}.npy") for rank in range(2)]
    loader = freqprep.Loader(
        freqprep.open_store(photos)["train"], CHANNELS, batch_size=BATCH, seed=SEED
    )
    expected = np.concatenate([np.stack([batch.rows for batch in loader]) for _ in range(2)])
    for rank in range(2):
        np.testing.assert_array_equal(rows[rank], expected[:, rank::2])
    data = freqprep.Dataset(freqprep.open_store(photos)["train"], CHANNELS)
    sampler = data.batch_sampler(8, seed=SEED)
    expected = {data[index][0].numpy().tobytes() for batch in sampler for index in batch}
    found = np.concatenate([np.load(tmp_path / f"images-{rank}.npy") for rank in range(2)])
    assert {image.tobytes() for image in found} >= expected
