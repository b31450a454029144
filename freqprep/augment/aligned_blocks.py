"""Crops of whole blocks at their own size: copied, without products."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from freqprep.augment import window_table
from freqprep.augment.transfer import Constants
from freqprep.spectrum import BLOCK
from freqprep.spectrum.channels import Selection


class AlignedBlocks:
    """Copies of blocks of a batch, on any device; a mirrored block has its odd h negated.

    Parameters
    ----------
    read : Selection
        Channels of the codes.
    steps : ndarray of float32, shape (C,)
        Quantization step of each.
    used : Selection
        Channels of the output; those that are not read are zero.
    """

    def __init__(self, read: Selection, steps: np.ndarray, used: Selection) -> None:
        order = {index: number for number, index in enumerate(read.indices)}
        step = np.array([steps[order[i]] if i in order else 0 for i in used.indices], np.float32)
        sign = np.where(np.array(used.indices) % BLOCK % 2, -1, 1).astype(np.float32)
        self._constants = Constants(
            channel=np.array([order.get(index, 0) for index in used.indices]),
            step=step[:, None, None],
            mirrored_step=(step * sign)[:, None, None],
        )

    def __call__(self, codes: Tensor, table: Tensor, size: tuple[int, int]) -> Tensor:
        """Copy a window of each image.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
        table : Tensor of int32, shape (11, 2, n)
            See `freqprep.augment.window_table.window_table`; on the codes' device.
        size : tuple of int
            Height and width of all windows in pixels.

        Returns
        -------
        Tensor of float32, shape (n, used, height / 8, width / 8)
            Not normalised; contiguous.
        """
        n, channels, rows, columns = codes.shape
        height, width = (side // BLOCK for side in size)
        here = self._constants.on(codes.device)
        first = table[window_table.FIRST_BLOCK].long()
        image = torch.arange(n, device=codes.device)[:, None] * channels
        row = first[0, :, None] + torch.arange(height, device=codes.device)
        start = (image + here["channel"])[:, :, None] * rows + row[:, None]
        start = start * columns + first[1, :, None, None]
        blocks = codes.view(-1).unfold(0, width, 1)[start]  # all runs of this length in memory
        mirrored = (table[window_table.STRIDE, 1] < 0)[:, None, None, None]
        return torch.where(mirrored, blocks.flip(-1) * here["mirrored_step"], blocks * here["step"])
