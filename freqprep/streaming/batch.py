"""A batch of images as tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.errors import UsageError
from freqprep.text.quantities import plural

if TYPE_CHECKING:
    import torch

    from freqprep.images.encoding import Encoding
    from freqprep.spectrum.channels import Selection
    from freqprep.store.split import Split


@dataclasses.dataclass(eq=False, repr=False)
class Batch:
    """Codes and labels of the images of one step.

    ``x, y = batch`` gives coefficients and labels, ``batch.to(device)`` moves both, ``len(batch)``
    is the number of images.

    Attributes
    ----------
    codes : Tensor of int8 or int16, shape (n, C, rows, columns)
        Stored integers of the chosen channels, contiguous, on the loader's device.
    labels : Tensor of int64, shape (n,)
        Index into the split's classes, -1 = none; on the loader's device.
    rows : ndarray of int64, shape (n,)
        Row numbers in the split.
    sizes : ndarray of int32, shape (n, 2)
        Valid height and width in stored pixels.
    epoch : int
    step : int
        Index of the global batch in the epoch.
    quantization_steps : Tensor of float32, shape (C,)
        Quantization steps of the chosen channels, on the loader's device. None in a batch made by
        hand of which only the codes are used.
    inputs : object
        Result of the loader's ``transform`` for this batch; None without one.
    channels : tuple of str or None
        Names of the channels of the codes, in their order.
    encoding : Encoding or None
        Grid and precision of the codes. Both None in a batch made by hand.
    """

    codes: torch.Tensor
    labels: torch.Tensor
    rows: np.ndarray
    sizes: np.ndarray
    epoch: int
    step: int
    quantization_steps: torch.Tensor | None = None
    inputs: Any = None
    channels: tuple[str, ...] | None = None
    encoding: Encoding | None = None

    @cached_property
    def coefficients(self) -> torch.Tensor:
        """Codes times their steps, float32, shape (n, C, rows, columns); computed when first used.

        They stay valid when the codes of a reused batch are overwritten.

        Raises
        ------
        UsageError
            The batch was made without quantization steps.
        """
        if self.quantization_steps is None:
            raise UsageError(
                "this batch was made without quantization_steps",
                "give it split.steps of its channels",
            )
        return self.codes * self.quantization_steps[:, None, None]

    def to(self, device: str | torch.device, non_blocking: bool = False) -> Batch:
        """Copy the batch to a device; ``rows`` and ``sizes`` stay arrays.

        ``inputs`` are copied if they are a tensor, and else stay what they are.

        Parameters
        ----------
        device : str or torch.device
        non_blocking : bool
            See `torch.Tensor.to`.

        Returns
        -------
        Batch
        """
        import torch

        moved: dict[str, Any] = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return dataclasses.replace(self, **moved)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Yield coefficients, then labels."""
        yield self.coefficients
        yield self.labels

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.codes.shape[1:]))
        kind = str(self.codes.dtype).removeprefix("torch.")
        return (
            f"Batch({plural(len(self), 'image')}, {shape} {kind} on {self.codes.device},"
            f" epoch {self.epoch}, step {self.step})"
        )


class BatchMaker:
    """Makes the batches of a loader from their tensors.

    Parameters
    ----------
    split : Split
    selection : Selection
        Channels of the codes.
    device : torch.device
    transform : callable or None
        See `freqprep.Loader`.
    """

    def __init__(
        self,
        split: Split,
        selection: Selection,
        device: torch.device,
        transform: Callable[[Batch], Any] | None,
    ) -> None:
        self._split, self._channels, self._device = split, selection.names, device
        self._steps = split.steps[list(selection.indices)]
        self._transform = transform
        self._device_steps: torch.Tensor | None = None

    def __call__(
        self,
        rows: np.ndarray,
        epoch: int,
        step: int,
        codes: torch.Tensor,
        labels: torch.Tensor,
    ) -> Batch:
        """Make a batch, and transform it; the rows' sizes are those of the split."""
        import torch

        if self._device_steps is None:  # sent to the device once; each batch has a copy made there
            self._device_steps = torch.tensor(self._steps, device=self._device)
        batch = Batch(
            codes,
            labels,
            rows,
            self._split.sizes[rows],
            epoch,
            step,
            self._device_steps.clone(),
            channels=self._channels,
            encoding=self._split.attributes.encoding,
        )
        if self._transform is not None:
            batch.inputs = self._transform(batch)
        return batch

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is on the device: another process sends its own."""
        return {**self.__dict__, "_device_steps": None}
