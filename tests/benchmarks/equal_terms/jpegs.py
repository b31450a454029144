"""The RGB baseline without a store: Pillow decodes the files, torchvision crops and resizes them.

The training loop is the same. A loader puts finished inputs into the codes of a batch, and the
augmentation passes them through. Rows, order and boxes are those of training from the store, so
only the pixels differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from freqprep.augment import Augment
from freqprep.augment.classifier_input import Policy
from freqprep.augment.randomness import uniforms
from freqprep.models.torchvision_ops import import_torchvision
from freqprep.store.split import Split
from freqprep.streaming.batch import Batch
from freqprep.streaming.loader import Loader
from freqprep.training import classifier_task, evaluate_classifier, run_state
from freqprep.training.planning import plan
from freqprep.training.request import TrainingRequest

_FLIP = 1  # number of the random stream that freqprep.augment draws flips from


class JpegLoader(Loader):
    """A `Loader` whose codes are inputs: float32 (n, 3, side, side), normalised.

    Parameters
    ----------
    split : Split
    channels : sequence of str
    source : Path
        Folder of the split folders that the store was made from.
    inputs : ClassifierInput
        Input of an RGB network.
    policy : Policy
    **options
        Options of `Loader`.
    """

    def __init__(
        self,
        split: Split,
        channels: Any,
        *,
        source: Path,
        inputs: Any,
        policy: Policy,
        **options: Any,
    ) -> None:
        super().__init__(split, channels, **options)
        self._folder = source / split.attributes.split
        self._inputs, self._seed = inputs, options.get("seed", 0)
        self._shuffle, self._readers = options.get("shuffle", True), options["threads"]
        self._augment = Augment(inputs, split.attributes.encoding, policy, self._seed)

    def __iter__(self) -> Iterator[Batch]:
        with ThreadPoolExecutor(self._readers) as pool:
            for batch in super().__iter__():
                epoch = batch.epoch if self._shuffle else None
                pixels = torch.stack(list(pool.map(partial(self._pixels, epoch), batch.rows)))
                pixels = pixels.to(batch.labels.device)
                mean, std = (
                    torch.tensor(values, device=pixels.device)[:, None, None]
                    for values in (self._inputs.mean, self._inputs.std)
                )
                yield dataclasses.replace(batch, codes=(pixels - mean) / std)

    def _pixels(self, epoch: int | None, row: int) -> torch.Tensor:
        """One image, uint8 (3, side, side): augmented for training, or centre cropped."""
        import_torchvision()
        from torchvision.transforms.v2 import functional

        image = Image.open(self._folder / self.split.keys[row]).convert("RGB")
        side, resize = self._inputs.side, self._inputs.resize
        if epoch is None:
            image = functional.center_crop(functional.resize(image, resize), side)
            return functional.pil_to_tensor(image)
        rows, size = np.array([row]), np.array([[image.height, image.width]])
        windows = self._augment.windows(size, epoch, rows)
        box = (*windows.start[0].tolist(), *windows.length[0].tolist())
        image = functional.resized_crop(image, *box, size=[side, side])
        if uniforms(self._seed, epoch, rows, 1, _FLIP)[0, 0] < self._augment.policy.flip:
            image = functional.horizontal_flip(image)
        return functional.pil_to_tensor(image)


@contextmanager
def reading_jpegs(request: TrainingRequest, source: Path) -> Iterator[None]:
    """Let training in this block read images from the files instead of the store."""
    inputs, policy = plan(request).config.inputs, request.recipe.policy
    loader = partial(JpegLoader, source=source, inputs=inputs, policy=policy)
    replaced = (
        (run_state, "Loader", loader),
        (classifier_task, "Augment", _finished(lambda batch: batch.codes)),
        (evaluate_classifier, "Loader", loader),
        (evaluate_classifier, "Preprocess", _finished(lambda codes, sizes: codes)),
    )
    with ExitStack() as stack:
        for module, name, new in replaced:
            stack.enter_context(mock.patch.object(module, name, new))
        yield


def _finished(hand_on: Callable[..., torch.Tensor]) -> Callable[..., Callable[..., torch.Tensor]]:
    """Replacement for a class whose instances make inputs from codes."""
    return lambda *_: hand_on
