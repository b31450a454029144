"""Two nodes, as torchrun starts them, that train from a store in a bucket."""

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import synthetic
import torch
from ranks import freqprep_on_ranks

import freqprep
from freqprep.training.checkpoint import CHECKPOINT

pytestmark = pytest.mark.long

SHARDS = 4
LANES = {"batch_size": 64, "lanes": 2, "window_bytes": 2**14, "threads": 4}
TINY = ["--model", "mobilenet_v2", "--channels", "paper-6", "--grid", "16", "--device", "cpu"]
GIVEN = ["--batch-size", "32", "--lanes", "2", "--epochs", "2", "--seed", "1", "--threads", "2"]


@pytest.fixture(autouse=True, scope="module")
def narrow_networks():
    """None: the processes that are started train a network of all channels."""


def started(*words: str | Path) -> subprocess.Popen[str]:
    """Start ``torchrun``: its options, and a command."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *map(os.fspath, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(*nodes: subprocess.Popen[str]) -> list[str]:
    """Wait for nodes; return what each has printed."""
    try:
        said = [node.communicate(timeout=300) for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    assert [node.returncode for node in nodes] == [0] * len(nodes), [err for _, err in said]
    return [out for out, _ in said]


def on_one_node(*words: str | Path) -> str:
    """Run the command in two processes; return what they print."""
    done = freqprep_on_ranks(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_two_nodes(*words: str | Path) -> str:
    """Run a command as the how-to says: one ``torchrun`` a node, here both on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    start = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"]
    start += ["--rdzv-endpoint", address, "--rdzv-id", "test", "--local-addr", "127.0.0.1"]
    start += ["--no-python", "--", *synthetic.command(*words)]
    return "".join(ended(*(started(*start) for _ in range(2))))


@pytest.fixture(scope="module")
def four_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    source = synthetic.image_folder(folder / "source", {"train": 128 * SHARDS})
    return synthetic.make(source, folder / "s.zarr")


def of_rank(split: freqprep.Split, rank: int) -> list[tuple[list[int], int]]:
    """Rows and the sum of the codes of each batch of one rank of two."""
    with freqprep.Loader(split, "paper-6", **LANES, rank=rank, world_size=2) as loader:
        return [(batch.rows.tolist(), int(batch.codes.long().sum())) for batch in loader]


def test_each_shard_is_read_by_one_rank(four_shards, bucket):
    local, remote = (
        freqprep.open_store(place)["train"]
        for place in (four_shards, bucket.upload(four_shards, "s.zarr"))
    )
    bucket.requests.clear()
    given = [of_rank(remote, rank) for rank in range(2)]
    assert given == [of_rank(local, rank) for rank in range(2)]
    shards = [{row // 128 for rows, _ in batches for row in rows} for batches in given]
    assert len(shards[0]) == len(shards[1]) == SHARDS // 2 and not shards[0] & shards[1]
    # The index, and the channels, which are close enough for one request.
    assert asked(bucket) == {f"train/coefficients/c/{shard}/0/0/0": 2 for shard in range(SHARDS)}


def test_the_weights_are_those_of_the_local_store(store, bucket, tmp_path):
    url = bucket.upload(store, "s.zarr")
    cache = ["--cache", tmp_path / "cache", "--cache-bytes", "64MB"]
    bucket.requests.clear()
    weights = []
    for place, start, more in ((store, on_one_node, []), (url, on_two_nodes, cache)):
        run = tmp_path / start.__name__
        words = ["train", place, *TINY, *GIVEN, *more, "--run", run, "--json"]
        printed = start(*words)  # only the first rank speaks
        assert json.loads(printed)["validation"]["images"] == 19
        weights.append(torch.load(run / CHECKPOINT, weights_only=True)["network"])
    one, other = weights
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    # The crops that are measured and two epochs need each shard three times; the nodes share the
    # cache here, and both may ask at the same moment.
    times = [count for name, count in asked(bucket).items() if name.startswith("train/")]
    assert len(times) == 2 and all(2 <= count <= 4 for count in times)


def asked(bucket) -> Counter[str]:
    """Count the requests of each shard."""
    paths = [line.partition("?")[0].partition("/s.zarr/")[2] for line in bucket.requests]
    return Counter(path for path in paths if "coefficients/c/" in path)
