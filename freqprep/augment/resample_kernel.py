"""The fused resampling of `resample_triton`, in Triton: one program a tile of an image.

A program loads the codes under its tile chunk by chunk, makes the two matrices of the chunk from
the table of `window_table` in registers, multiplies, and writes its results normalised. Nothing
in between touches the device's memory. Loaded only where Triton is.
"""

from __future__ import annotations

import triton
import triton.language as tl

from freqprep.augment import window_table

BLOCK = tl.constexpr(8)  # pixels
BLOCKS = tl.constexpr(8)  # of a tile, and of a chunk of the input, along each axis
PIXELS = tl.constexpr(64)
PIXEL_OFFSET = tl.constexpr(128)
START = tl.constexpr(window_table.START)
STOP = tl.constexpr(window_table.STOP)
LENGTH = tl.constexpr(window_table.LENGTH)
TWICE = tl.constexpr(window_table.TWICE)
LAST = tl.constexpr(window_table.LAST)
CENTRE = tl.constexpr(window_table.CENTRE)
STRIDE = tl.constexpr(window_table.STRIDE)
SLOPE = tl.constexpr(window_table.SLOPE)


@triton.jit
def probe(out):
    """Write a number: whether kernels can be compiled and started on this machine."""
    tl.store(out, 1)


@triton.jit
def _entry(table, row, axis, image, images):
    """Load a number of the table."""
    return tl.load(table + (row * 2 + axis) * images + image)


@triton.jit
def _centres(table, axis, image, images, first):
    """Compute the centres of a tile's pixels in input pixels: whole part and rest."""
    pixel = first + tl.arange(0, PIXELS)
    pixel = tl.minimum(pixel, _entry(table, LAST, axis, image, images))
    number = _entry(table, CENTRE, axis, image, images)
    number += _entry(table, STRIDE, axis, image, images) * pixel
    number = number.to(tl.int64) * _entry(table, LENGTH, axis, image, images)
    twice = _entry(table, TWICE, axis, image, images)
    whole = number // twice
    rest = (number - whole * twice).to(tl.float32) / twice.to(tl.float32)
    return whole.to(tl.int32) + _entry(table, START, axis, image, images), rest


@triton.jit
def _reach(table, axis, image, images, whole):
    """Compute the first input block under a tile, and the one after the last."""
    start = _entry(table, START, axis, image, images)
    stop = _entry(table, STOP, axis, image, images)
    slope = _entry(table, SLOPE, axis, image, images).to(tl.float32, bitcast=True)
    reach = (1 / slope).to(tl.int32) + 2
    low = tl.maximum(tl.min(whole, 0) - reach, start)
    high = tl.minimum(tl.max(whole, 0) + reach, stop)
    return low // BLOCK, (high + BLOCK - 1) // BLOCK


@triton.jit
def _weights(table, axis, image, images, whole, rest, block):
    """Compute the triangle's height at a chunk's pixels for a tile's pixels: (PIXELS, PIXELS)."""
    start = _entry(table, START, axis, image, images)
    stop = _entry(table, STOP, axis, image, images)
    slope = _entry(table, SLOPE, axis, image, images).to(tl.float32, bitcast=True)
    at = block * BLOCK + tl.arange(0, PIXELS)
    distance = (at[None, :] - whole[:, None]).to(tl.float32) + (0.5 - rest[:, None])
    weights = tl.maximum(1 - tl.abs(distance) * slope, 0.0)
    return tl.where(((at >= start) & (at < stop))[None, :], weights, 0.0)


@triton.jit
def _sums(table, axis, image, images, whole, rest, low, high):
    """Add up each pixel's weights."""
    total = tl.zeros((PIXELS,), tl.float32)
    for block in range(low, high, BLOCKS):
        total += tl.sum(_weights(table, axis, image, images, whole, rest, block), 1)
    return total


@triton.jit
def _matrix(
    weights,
    left,
    right,
    OUT: tl.constexpr,
    IN: tl.constexpr,
    COPIED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Multiply weights by the transforms on both sides: (OUT, IN)."""
    pixel = tl.arange(0, PIXELS)
    inside = tl.load(right + pixel[:, None] * IN + tl.arange(0, IN)[None, :])
    half = tl.dot(weights, inside, input_precision=PRECISION)
    if COPIED:
        return half
    outside = tl.load(left + tl.arange(0, OUT)[:, None] * PIXELS + pixel[None, :])
    return tl.dot(outside, half, input_precision=PRECISION)


@triton.jit
def _codes(
    codes,
    channel,
    step,
    row,
    column,
    rows,
    columns,
    V: tl.constexpr,
    H: tl.constexpr,
    IN_DOWN: tl.constexpr,
    IN_ACROSS: tl.constexpr,
):
    """Load a chunk, dequantised: (block row, V) by (block column, H); zero outside the image."""
    m, k = tl.arange(0, IN_DOWN), tl.arange(0, IN_ACROSS)
    y, x = row + m // V, column + k // H
    inside = ((m < BLOCKS * V) & (y < rows))[:, None] & ((k < BLOCKS * H) & (x < columns))[None, :]
    frequency = (m % V)[:, None] * H + (k % H)[None, :]
    plane = tl.load(channel + frequency)
    at = (plane * rows + y[:, None]) * columns + x[None, :]
    values = tl.load(codes + at, mask=inside, other=0)
    return values.to(tl.float32) * tl.load(step + frequency)


@triton.jit
def _tile(
    codes,
    table,
    channel,
    step,
    left_down,
    left_across,
    right_down,
    right_across,
    image,
    images,
    top,
    left,
    rows,
    columns,
    V: tl.constexpr,
    H: tl.constexpr,
    IN_DOWN: tl.constexpr,
    IN_ACROSS: tl.constexpr,
    OUT_DOWN: tl.constexpr,
    OUT_ACROSS: tl.constexpr,
    COPIED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Resample a tile of one component: (OUT_DOWN, OUT_ACROSS)."""
    whole_y, rest_y = _centres(table, 0, image, images, top)
    whole_x, rest_x = _centres(table, 1, image, images, left)
    low_y, high_y = _reach(table, 0, image, images, whole_y)
    low_x, high_x = _reach(table, 1, image, images, whole_x)
    sums_y = _sums(table, 0, image, images, whole_y, rest_y, low_y, high_y)[:, None]
    sums_x = _sums(table, 1, image, images, whole_x, rest_x, low_x, high_x)[:, None]
    result = tl.zeros((OUT_DOWN, OUT_ACROSS), tl.float32)
    for y in range(low_y, high_y, BLOCKS):
        half = tl.zeros((IN_DOWN, OUT_ACROSS), tl.float32)
        for x in range(low_x, high_x, BLOCKS):
            weights = _weights(table, 1, image, images, whole_x, rest_x, x) / sums_x
            across = _matrix(
                weights, left_across, right_across, OUT_ACROSS, IN_ACROSS, COPIED, PRECISION
            )
            values = _codes(codes, channel, step, y, x, rows, columns, V, H, IN_DOWN, IN_ACROSS)
            half += tl.dot(values, tl.trans(across), input_precision=PRECISION)
        weights = _weights(table, 0, image, images, whole_y, rest_y, y) / sums_y
        down = _matrix(weights, left_down, right_down, OUT_DOWN, IN_DOWN, COPIED, PRECISION)
        result += tl.dot(down, half, input_precision=PRECISION)
    return result


@triton.jit
def resample(
    codes,
    table,
    channel,
    step,
    left_down,
    left_across,
    right_down,
    right_across,
    plane,
    mean,
    std,
    to_rgb,
    out,
    images,
    channels,
    rows,
    columns,
    tiles_across,
    height,
    width,
    planes,
    V: tl.constexpr,
    H: tl.constexpr,
    U: tl.constexpr,
    W: tl.constexpr,
    IN_DOWN: tl.constexpr,
    IN_ACROSS: tl.constexpr,
    OUT_DOWN: tl.constexpr,
    OUT_ACROSS: tl.constexpr,
    COMPONENTS: tl.constexpr,
    COPIED: tl.constexpr,
    RGB: tl.constexpr,
    ZERO_BEYOND: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Write a tile of an image; see `freqprep.augment.resample_triton.TritonResampler`."""
    tile, image = tl.program_id(0), tl.program_id(1)
    tile_y, tile_x = tile // tiles_across, tile % tiles_across
    mine = codes + image.to(tl.int64) * channels * rows * columns
    # Position in the output, in blocks or pixels, and which of a block's results it is.
    o, p = tl.arange(0, OUT_DOWN), tl.arange(0, OUT_ACROSS)
    if COPIED:
        y, x = tile_y * PIXELS + o, tile_x * PIXELS + p
        last_y, last_x = y, x
    else:
        y, x = tile_y * BLOCKS + o // U, tile_x * BLOCKS + p // W
        last_y, last_x = y * BLOCK, x * BLOCK
    inside = ((y < height) & (o < BLOCKS * U))[:, None]
    inside = inside & ((x < width) & (p < BLOCKS * W))[None, :]
    kept = (last_y <= _entry(table, LAST, 0, image, images))[:, None]
    kept = kept & (last_x <= _entry(table, LAST, 1, image, images))[None, :]
    position = (image.to(tl.int64) * height + y[:, None]) * width + x[None, :]
    first = tl.zeros((OUT_DOWN, OUT_ACROSS), tl.float32)
    second = first
    third = first
    for component in tl.static_range(COMPONENTS):
        done = _tile(
            mine,
            table,
            channel + component * V * H,
            step + component * V * H,
            left_down,
            left_across,
            right_down,
            right_across,
            image,
            images,
            tile_y * PIXELS,
            tile_x * PIXELS,
            rows,
            columns,
            V,
            H,
            IN_DOWN,
            IN_ACROSS,
            OUT_DOWN,
            OUT_ACROSS,
            COPIED,
            PRECISION,
        )
        if RGB:
            if component == 0:
                first = done
            elif component == 1:
                second = done
            else:
                third = done
        else:
            place = (o % U)[:, None] * W + (p % W)[None, :]
            if COPIED:
                place = place * 0
            number = tl.load(plane + component * U * W + place)
            known = tl.maximum(number, 0)
            value = (done - tl.load(mean + known)) / tl.load(std + known)
            if ZERO_BEYOND:
                value = tl.where(kept, value, 0.0)
            at = position * planes + number
            tl.store(out + at, value.to(out.dtype.element_ty), mask=inside & (number >= 0))
    if RGB:
        for color in tl.static_range(3):
            value = first * tl.load(to_rgb + 3 * color) + PIXEL_OFFSET
            value += second * tl.load(to_rgb + 3 * color + 1)
            value += third * tl.load(to_rgb + 3 * color + 2)
            value = tl.minimum(tl.maximum(value, 0.0), 255.0)
            value = (value - tl.load(mean + color)) / tl.load(std + color)
            if ZERO_BEYOND:
                value = tl.where(kept, value, 0.0)
            tl.store(out + position * planes + color, value.to(out.dtype.element_ty), mask=inside)
