"""Several processes with a compiled network: the compiler is outside the distributed wrapper."""

import multiprocessing

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from freqprep.training.classifier_task import _bare
from freqprep.training.distributed import World
from freqprep.training.loop import _no_sync
from freqprep.training.run_state import _distributed

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


class Run:
    """What `_no_sync` asks of a run."""

    def __init__(self, model, world):
        self.model, self.world = model, world


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 2)
    )


def gradients(world, rows, compiled):
    """Gradients of two parts of this process's rows, exchanged with the second."""
    bare = network()
    model = _distributed(bare, world)
    assert isinstance(model, DistributedDataParallel)
    if compiled:
        model = torch.compile(model, backend="eager")
    assert _bare(model) is bare
    run = Run(model, world)
    for index, part in enumerate(rows.chunk(2)):
        with _no_sync(run, last=index == 1):
            (model(part).square().mean() / 2).backward()
    return {name: one.grad.tolist() for name, one in bare.named_parameters()}


def work(rank, folder, queue):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    try:
        world = World(rank, 2, torch.device("cpu"))
        rows = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(1))[rank::2]
        queue.put((rank, [gradients(world, rows, compiled) for compiled in (False, True)]))
    except BaseException as error:
        queue.put((rank, repr(error)))
        raise
    finally:
        torch.distributed.destroy_process_group()


def test_gradients_are_those_of_one_process(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=work, args=(rank, tmp_path, queue)) for rank in (0, 1)]
    for process in processes:
        process.start()
    found = dict(queue.get(timeout=240) for _ in processes)
    for process in processes:
        process.join()
    assert not [one for one in found.values() if isinstance(one, str)], found
    assert found[0] == found[1]  # each has the mean over both
    alone = network()
    rows = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    alone(rows).square().mean().backward()
    plain, compiled = found[0]
    for name, one in alone.named_parameters():
        for other in (plain[name], compiled[name]):
            torch.testing.assert_close(torch.tensor(other), one.grad, rtol=1e-5, atol=1e-6)
