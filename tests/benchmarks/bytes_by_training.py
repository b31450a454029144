"""Bytes by training: selections and steps of equal bytes, each judged by networks trained on it.

MobileNetV2 from random weights on imagenette, 28x28 blocks. Images, order, crops, recipe and
arithmetic are the same; channels and steps differ, and only the channels of the network are read.
Each training is a run folder: finished ones are skipped, unfinished ones are resumed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.spectrum.channels import published
from freqprep.store.channel_bytes import bytes_read
from freqprep.store.reader import open_store
from freqprep.training.request import TrainingRequest
from tests.benchmarks.table import show
from tests.benchmarks.training_runs import (
    finished_run,
    mean_loss,
    recipe,
    record_origin,
    run_all,
    train_logged,
    training_pool,
)

_MODEL, _GRID, _SIZE = "mobilenet_v2", 28, 224
_EPOCHS, _BATCH = 3, 32
_SEEDS = range(5)
_WORKERS = 2
_RATES, _TRIAL_EPOCHS, _TRIAL_SEED = (0.025, 0.05), 2, 100
_TRIED = ("square-24", "paper-64")
_REFERENCE = "square-24-int8"
_RESULTS = "results.json"


@dataclass(frozen=True)
class Way:
    """Channels and the steps they are stored at.

    Attributes
    ----------
    channels : str
        Read, and used by the network.
    steps : str
        Name of a store.
    """

    channels: str
    steps: str
