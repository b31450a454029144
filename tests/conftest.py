"""Shared fixtures: real data if available, a synthetic image folder, and stores made from it."""

import functools
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import typer.main
from hypothesis import settings

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS / "sources"))  # the builders of ImageNet's forms

import subset  # noqa: E402
import synthetic  # noqa: E402
from object_servers import (  # noqa: E402, F401
    bucket,
    memory_server,
    moto_bucket,
    moto_server,
    one_slow_server,
    slow_server,
    web_server,
)
from optional_packages import (  # noqa: E402
    pytest_make_collect_report,  # noqa: F401
    pytest_runtest_makereport,  # noqa: F401
)

from freqprep import progress  # noqa: E402
from freqprep.engines import workers  # noqa: E402
from freqprep.spectrum.channels import channels  # noqa: E402
from freqprep.spectrum.quantization import PRECISIONS  # noqa: E402

# The duration of an example depends more on the machine than on the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes half a minute or more, and is begun first")


def pytest_collectstart() -> None:
    """Let no garbage be looked for while tests are collected: next to nothing of it is any."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keep what is loaded by now out of the garbage collector: it would look at it each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Let the interpreter find all at its end, or extensions tell of leaks."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest: at the end, all workers but one would wait for it."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    """Keep the test's name out of the environment: workers are kept for runs with the same one."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call() -> None:
    """Do so again, for it is set in between."""
    os.environ.pop("PYTEST_CURRENT_TEST", None)


@pytest.fixture(autouse=True, scope="session")
def one_job_by_default() -> Iterator[None]:
    """Let commands start no workers unless a test asks for some: each core has a test already."""
    with mock.patch.object(workers, "default_jobs", lambda: 1):
        yield


@pytest.fixture(autouse=True, scope="session")
def interrupts_arrive() -> Iterator[None]:
    """Let Ctrl-C reach this process and its children, also where a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_synced() -> Iterator[None]:
    """Wait for no disk in this process: `test_power_loss_order` traces what a command syncs."""
    with mock.patch.object(os, "fsync", lambda descriptor: None):
        yield


@pytest.fixture(autouse=True, scope="session")
def one_command_line() -> Iterator[None]:
    """Keep the parser of commands between those run in this process: each would make it again."""
    kept = functools.cache(typer.main.get_command)
    with mock.patch.object(typer.main, "get_command", kept):
        yield


@pytest.fixture(scope="session")
def data() -> Path:
    """Real images beside the project."""
    folder = TESTS.parents[1] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 training and 24 validation images in 3 classes; 5 of each split cannot be converted."""
    root = tmp_path_factory.mktemp("source")
    return synthetic.image_folder(root, {"train": 160, "val": 24}, corrupt=5)


@pytest.fixture(scope="session")
def store(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of `source` as int8, fit to 32 pixels, with two shards and one shard. Read only."""
    return synthetic.make(source, tmp_path_factory.mktemp("store") / "fit.zarr")


@pytest.fixture(scope="session")
def crop_store(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of `source` as int16, cropped to 24 pixels. Read only."""
    folder = tmp_path_factory.mktemp("store")
    options = {"geometry": "crop", "size": 24, "resize": 27, "precision": PRECISIONS["int16"]}
    return synthetic.make(source, folder / "crop.zarr", **options)


@pytest.fixture(scope="session")
def coarse_store(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of `source` at steps that differ by component, level 17. Read only."""
    folder = tmp_path_factory.mktemp("store")
    return synthetic.make(source, folder / "coarse.zarr", precision=subset.MIXED, level=17)


@pytest.fixture(scope="session")
def fine_store(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of `source` as int16 at steps below and above 1, which differ by component."""
    folder = tmp_path_factory.mktemp("store")
    return synthetic.make(source, folder / "fine.zarr", precision=subset.FINE)


@pytest.fixture(scope="session")
def subset_store(coarse_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 48 published channels and one more of `coarse_store`. Read only."""
    folder = tmp_path_factory.mktemp("store")
    kept = [*channels("paper-48").indices, 63]
    return subset.keep(coarse_store, folder / "subset.zarr", kept, level=3)


@pytest.fixture(scope="session")
def run_folder(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run on 6 channels of the training split of `store`, untrained and narrow. Read only."""
    import runs  # needs torch
    from narrow_networks import narrow_classifiers

    from freqprep.store.reader import open_store

    split = open_store(store)["train"]
    with narrow_classifiers():
        return runs.make_run(tmp_path_factory.mktemp("runs") / "first", split)


@pytest.fixture
def long_blocks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every block of `noted_if_long` take long; the notes that are then given."""
    said: list[str] = []

    class Timer:
        """Goes off at once."""

        def __init__(self, seconds: float, note) -> None:
            assert seconds == 2
            self.start, self.cancel = note, list

    monkeypatch.setattr(progress.threading, "Timer", Timer)
    monkeypatch.setattr(progress, "say", said.append)
    return said
