"""The benchmark's RGB baseline from image files sees what training from the store sees."""

from pathlib import Path

import numpy as np
import pytest
import synthetic
import torch
from PIL import Image

from freqprep.spectrum.quantization import PRECISIONS
from freqprep.store.reader import open_store
from freqprep.training import classifier_task, evaluate_classifier, run_state
from freqprep.training.planning import plan
from freqprep.training.recipe import Recipe
from freqprep.training.request import TrainingRequest
from tests.benchmarks.equal_terms.jpegs import reading_jpegs

SIDE = 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Smooth photographs of several sizes, none larger than is stored."""
    for split in ("train", "val"):
        for number in range(6):
            path = tmp_path / "images" / split / "ab"[number % 2] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (5, 4, 3), np.uint8)
            size = (52 + 4 * number, 64 - 3 * number)
            image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
            image.save(path, quality=95, subsampling=0)
    return tmp_path / "images"


def inputs(config, split, policy, shuffle):
    """Rows and inputs of the one batch, as the training loop's modules make them."""
    encoding = split.attributes.encoding
    options = {"batch_size": 6, "seed": 3, "shuffle": shuffle, "threads": 1}
    module = run_state if shuffle else evaluate_classifier
    with module.Loader(split, list(config.inputs.read), **options) as loader:
        (batch,) = loader
        if shuffle:
            make = classifier_task.Augment(config.inputs, encoding, policy, 3)
            return batch.rows, make(batch)
        make = module.Preprocess(config.inputs, encoding)
        return batch.rows, make(batch.codes, batch.sizes)


@pytest.mark.parametrize("shuffle", [True, False], ids=["training", "evaluation"])
def test_same_rows_crops_and_flips(folder, tmp_path, shuffle):
    store = synthetic.make(folder, tmp_path / "s.zarr", size=72, precision=PRECISIONS["int16"])
    split = open_store(store)["train"]
    request = TrainingRequest(
        store, tmp_path / "run", "mobilenet_v2", Recipe(1, 6, 0.1), input="rgb", grid=SIDE // 2
    )
    config = plan(request).config
    rows, ours = inputs(config, split, request.recipe.policy, shuffle)
    with reading_jpegs(request, folder):
        other_rows, theirs = inputs(config, split, request.recipe.policy, shuffle)
    np.testing.assert_array_equal(rows, other_rows)
    levels = torch.tensor(config.inputs.std)[:, None, None] * (ours - theirs)
    assert levels.square().mean().sqrt() < 1.5
