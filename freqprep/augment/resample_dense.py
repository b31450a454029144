"""Resampling on a device in few large operations: one dense product an axis for a whole batch.

The matrices have a column for every input pixel, most of them zero. That is more arithmetic than
tiles need, but a device waits for the start of operations and for memory, not for products.
Everything that differs from image to image comes from the table of `window_table`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from freqprep.augment import window_table
from freqprep.augment.components import Component
from freqprep.augment.transfer import Constants
from freqprep.spectrum import BLOCK

_WORKSPACE = 2**32  # bytes of intermediate results at once, about


class DenseResampler:
    """Resampling of a batch, one axis after the other.

    Parameters
    ----------
    components : sequence of Component
        At least one.
    planes : int
        Number of planes of the output.
    pixels : bool
        Whether the output is pixels.
    """

    def __init__(self, components: Sequence[Component], planes: int, pixels: bool) -> None:
        self._groups = [_Group(members, pixels) for members in _alike(components)]
        places: dict[int, int] = {}
        count = 0
        for group in self._groups:
            places |= {plane: count + place for plane, place in group.places.items()}
            count += group.results
        # What is not read is zero: the place behind all results.
        self._missing = len(places) < planes
        self._results = count + self._missing
        order = [places.get(plane, count) for plane in range(planes)]
        self._in_order = order == list(range(self._results))
        channels = np.concatenate([group.channels for group in self._groups])
        self._constants = Constants(order=np.array(order), channels=channels)

    def __call__(self, codes: Tensor, table: Tensor, size: tuple[int, int]) -> Tensor:
        """Resample a batch.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, C, rows, columns)
        table : Tensor of int32, shape (11, 2, n)
            See `freqprep.augment.window_table.window_table`; on the codes' device.
        size : tuple of int
            Height and width of the output in pixels.

        Returns
        -------
        Tensor of float32, shape (n, planes, height, width), or a position per block
            Not normalised; in channels_last memory.
        """
        pixels = sum(
            -(-side // BLOCK) * BLOCK**2 * blocks
            for side, blocks in zip(size, codes.shape[2:], strict=True)
        )
        at_once = max(_WORKSPACE // (16 * pixels), 1)
        parts = [
            self._resample(
                codes[first : first + at_once], table[..., first : first + at_once], size
            )
            for first in range(0, len(codes), at_once)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _resample(self, codes: Tensor, table: Tensor, size: tuple[int, int]) -> Tensor:
        n, _, rows, columns = codes.shape
        here = self._constants.on(codes.device)
        tall, wide = (-(-side // BLOCK) for side in size)
        weights = _both_weights(table, (tall, wide), (rows, columns))
        picked = codes.index_select(1, here["channels"])
        results = weights[0].new_empty((n, *self._shape(tall, wide), self._results))
        first = channel = 0
        for group in self._groups:
            read = picked[:, channel : channel + len(group.channels)]
            room = results[..., first : first + group.results]
            group.write(read, weights, room)
            first, channel = first + group.results, channel + len(group.channels)
        if self._missing:
            results[..., -1] = 0
        if not self._in_order:
            results = results.index_select(-1, here["order"])
        if self._groups[0].pixels:
            results = results[:, : size[0], : size[1]]
        return results.permute(0, 3, 1, 2)

    def _shape(self, tall: int, wide: int) -> tuple[int, int]:
        side = BLOCK if self._groups[0].pixels else 1
        return tall * side, wide * side


class _Group:
    """Components with the same frequencies, which share their matrices.

    Parameters
    ----------
    components : sequence of Component
        K components with equal ``left`` and ``right``.
    pixels : bool

    Attributes
    ----------
    channels : ndarray of int64, shape (V * K * H,)
        Index of each channel read: by vertical frequency, component and horizontal frequency.
    results : int
        Results of a block: U * K * W frequencies; of a pixel: K.
    places : dict of int to int
        Planes of the output and their place among the results.
    """

    def __init__(self, components: Sequence[Component], pixels: bool) -> None:
        one, self.pixels = components[0], pixels
        self._size = len(components)
        self._read = one.right[0].shape[1], one.right[1].shape[1]
        self._used = one.left[0].shape[0], one.left[1].shape[0]
        self.channels = torch.stack([c.channel for c in components], dim=1).flatten().numpy()
        u, w = self._used
        self.results = self._size if pixels else self._size * u * w
        self.places = {
            plane: k if pixels else (place // w * self._size + k) * w + place % w
            for k, component in enumerate(components)
            for plane, place in zip(
                component.outputs.tolist(), component.picked.tolist(), strict=True
            )
        }
        step = torch.stack([c.step.transpose(1, 2) for c in components], dim=1)
        self._constants = Constants(
            step=step.numpy(),  # (V, K, 1, H)
            **{f"left {axis}": matrix.numpy() for axis, matrix in enumerate(one.left)},
            **{f"right {axis}": matrix.numpy() for axis, matrix in enumerate(one.right)},
        )

    def write(self, codes: Tensor, weights: Sequence[Tensor], room: Tensor) -> None:
        """Resample the group's channels.

        Parameters
        ----------
        codes : Tensor of int8 or int16, shape (n, V * K * H, rows, columns)
        weights : sequence of Tensor
            Of the two axes; see `_weights`.
        room : Tensor of float32, shape (n, height, width, results)
            Written to; height and width in blocks, or in pixels of whole blocks.
        """
        here = self._constants.on(codes.device)
        (v, h), (u, w), k = self._read, self._used, self._size
        n, _, rows, columns = codes.shape
        values = weights[0].new_empty((n, rows, v, k, columns, h))
        by_frequency = codes.view(n, v, k, h, rows, columns).permute(0, 4, 1, 2, 5, 3)
        torch.mul(by_frequency, here["step"], out=values)
        down, across = (
            _with_transforms(weights[axis], here[f"left {axis}"], here[f"right {axis}"])
            for axis in (0, 1)
        )
        half = down @ values.view(n, rows * v, k * columns * h)
        done = half.view(n, -1, columns * h) @ across.transpose(1, 2)
        done = done.view(n, -1, u, k, across.shape[1] // w, w)
        if self.pixels:
            room = torch.unflatten(torch.unflatten(room, 2, (-1, w)), 1, (-1, u))
            room.copy_(done.permute(0, 1, 2, 4, 5, 3))
        else:
            torch.unflatten(room, 3, (u, k, w)).copy_(done.permute(0, 1, 4, 2, 3, 5))


def _alike(components: Sequence[Component]) -> list[list[Component]]:
    """Put components with equal matrices together."""
    groups: list[list[Component]] = []
    for component in components:
        for group in groups:
            pairs = zip(
                (*component.left, *component.right), (*group[0].left, *group[0].right), strict=True
            )
            if all(torch.equal(mine, other) for mine, other in pairs):
                group.append(component)
                break
        else:
            groups.append([component])
    return groups


def _with_transforms(weights: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Multiply weights by the maps of output and input blocks.

    Parameters
    ----------
    weights : Tensor, shape (n, 8 * output blocks, 8 * input blocks)
    left : Tensor, shape (U, 8)
    right : Tensor, shape (8, V)

    Returns
    -------
    Tensor, shape (n, output blocks * U, input blocks * V)
    """
    n, out, inp = weights.shape
    half = left @ weights.view(n * out // BLOCK, BLOCK, inp)
    return (half.view(-1, BLOCK) @ right).view(n, -1, inp // BLOCK * right.shape[1])


def _both_weights(
    table: Tensor, outputs: tuple[int, int], inputs: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Compute the weights of both axes, at once where they have the same lengths in blocks."""
    if outputs[0] == outputs[1] and inputs[0] == inputs[1]:
        down, across = _weights(table, slice(0, 2), outputs[0], inputs[0])
        return down, across
    down, across = (
        _weights(table, slice(axis, axis + 1), outputs[axis], inputs[axis])[0] for axis in (0, 1)
    )
    return down, across


def _weights(table: Tensor, axes: slice, blocks: int, input_blocks: int) -> Tensor:
    """Compute the triangle filter's weights of input pixels for output pixels.

    Parameters
    ----------
    table : Tensor of int32, shape (11, 2, n)
    axes : slice
    blocks, input_blocks : int
        Lengths of output and input along these axes.

    Returns
    -------
    Tensor of float32, shape (axes, n, 8 * blocks, 8 * input_blocks)
        Rows add up to 1; nothing outside the box has weight. The formula is that of
        `freqprep.spectrum.resizing.resize_matrix`.
    """
    device = table.device
    geometry = table[: window_table.SLOPE, axes, :, None].double()  # holds them exactly
    start, stop, length, twice, last, centre, stride = geometry[:7]
    pixel = _positions(BLOCK * blocks).on(device)["whole"]
    inputs = _positions(BLOCK * input_blocks).on(device)
    # Beyond what is kept the last pixel is repeated, as a store fills an image's last block.
    number = torch.addcmul(centre, stride, torch.minimum(pixel, last))
    centres = torch.addcmul(start, number, length / twice)
    inside = (inputs["half"] > start) & (inputs["half"] < stop)
    at = torch.where(inside, inputs["half"], inputs["infinity"])
    slope = table[window_table.SLOPE, axes].view(torch.float32)[..., None, None]
    shape = (*centres.shape, BLOCK * input_blocks)
    weights = torch.empty(shape, dtype=torch.float32, device=device)
    torch.sub(at[:, :, None], centres[..., None], out=weights)  # rounded after the difference
    torch.addcmul(inputs["one"], weights.abs_(), slope, value=-1, out=weights).clamp_(min=0)
    return weights.div_(weights.sum(dim=-1, keepdim=True))


@functools.cache
def _positions(count: int) -> Constants:
    """Make the numbers of some pixels, and their centres; and two numbers."""
    whole = np.arange(count, dtype=np.float64)
    return Constants(
        whole=whole, half=whole + 0.5, infinity=np.array(np.inf), one=np.array(1, np.float32)
    )
