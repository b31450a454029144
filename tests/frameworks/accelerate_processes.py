"""Train with Accelerate in the processes of a launcher; write down the rows each was given."""

import sys
from pathlib import Path

import numpy as np
import torch
from given import CHANNELS, SEED, Network

import freqprep

import accelerate  # isort: skip  (after torchvision, which it imports, was made to work)

STORE, FOLDER = map(Path, sys.argv[1:])

loader = freqprep.Loader(freqprep.open_store(STORE)["train"], CHANNELS, batch_size=16, seed=SEED)
accelerator = accelerate.Accelerator(cpu=True)
network = Network()
optimizer = torch.optim.SGD(network.parameters(), 0.01)
network, optimizer, loader = accelerator.prepare(network, optimizer, loader)
rows = []
for _ in range(2):
    for batch in loader:
        rows.append(batch.rows)
        x, y = batch.to(accelerator.device)
        accelerator.backward(torch.nn.functional.cross_entropy(network(x), y))
        optimizer.step()
        optimizer.zero_grad()
np.save(FOLDER / f"{accelerator.process_index}.npy", np.stack(rows))

# A DataLoader that Accelerate prepares, which deals the batches itself.
data = freqprep.Dataset(freqprep.open_store(STORE)["train"], CHANNELS)
try:
    data.batch_sampler(8)
except freqprep.FreqprepError:
    sampler = data.batch_sampler(8, seed=SEED, rank=0, world_size=1)
prepared = accelerator.prepare(torch.utils.data.DataLoader(data, batch_sampler=sampler))
images = np.concatenate([x.numpy() for x, _ in prepared])
np.save(FOLDER / f"images-{accelerator.process_index}.npy", images)
accelerator.end_training()
