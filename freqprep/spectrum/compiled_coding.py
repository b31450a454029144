"""Coding in one compiled loop; import it only where `freqprep.compilation.can_compile` says so.

The blocks of an image are taken in tiles of 64, in raster order of the grid. A tile's arrays fit
the processor's nearest cache and hold one block per column, so that each line of the loops below
is one vector instruction for several blocks.

A block is folded along both axes: the eight pixels of an axis become their sum, the alternating
sum (frequency 4), two differences of sums (2 and 6) and four differences (1, 3, 5 and 7). What is
left of the transform are 22 products an axis in place of 64. All entries of the rounded matrix
are plus or minus those of its first column, ``_FACTORS``, so folding again does not change a bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from freqprep.compilation import compiled, was_compiled
from freqprep.spectrum import BLOCK, COMPONENTS, FREQUENCIES
from freqprep.spectrum.channels import CHANNELS, STORED_POSITION
from freqprep.spectrum.code_sums import ERROR_UNIT, CodeSums, squared_error
from freqprep.spectrum.dct import PIXEL_OFFSET, dct_matrix, grid_of
from freqprep.spectrum.moments import Moments
from freqprep.spectrum.quantization import Precision

_TILE = 64  # as ERROR_RUN, or fewer
_LINE = BLOCK * _TILE  # 8 values of each block of a tile
_WORDS = 2 * len(COMPONENTS)  # 4 bytes each, in a line of a block
_WORD_LINE = _WORDS * _TILE
_SHORT_SUM = 16 * _TILE  # squared int8 codes that int32 adds

_f4, _i4, _u4 = np.float32, np.int32, np.uint32
_LOW_BYTE, _LARGEST_SHIFT, _FOUR_OFFSETS = _u4(0xFF), _u4(31), _u4(0x01010101 * PIXEL_OFFSET)
_DC_OFFSET = _f4(PIXEL_OFFSET * FREQUENCIES)
_UNITS = _f4(1 / ERROR_UNIT)
_NONE = (_f4(0),) * BLOCK

_FACTORS = tuple(tuple(_f4(entry) for entry in row) for row in dct_matrix()[:, 0].reshape(8, 8))
_0, _1, _2, _3, _4, _5, _6, _7 = _FACTORS
_MINUS_1, _MINUS_2, _MINUS_5, _MINUS_7 = (
    tuple(-factor for factor in _FACTORS[frequency]) for frequency in (1, 2, 5, 7)
)


class CompiledCoder:
    """Coder with a compiled loop; see `freqprep.spectrum.numpy_coding.NumpyCoder`.

    Parameters
    ----------
    precision : Precision
    """

    def __init__(self, precision: Precision) -> None:
        self._dtype = precision.dtype
        self._steps = precision.step_table.astype(np.float64).reshape(-1, FREQUENCIES)
        self._per_step = (1 / self._steps).astype(np.float32)
        positions = np.array(STORED_POSITION).reshape(-1, FREQUENCIES)
        self._positions = (positions % FREQUENCIES).astype(np.uint8)  # within the component
        # int32 sums are faster; squared int16 codes need int64.
        self._counter = np.zeros(1, np.int32 if precision.dtype == np.int8 else np.int64)

    def encode(self, pixels: np.ndarray, out: np.ndarray) -> CodeSums:
        """Transform, round and place the codes of an image; see `NumpyCoder.encode`."""
        height, width, components = pixels.shape
        rows, columns = grid_of(height, width)
        grid_columns, channels = out.shape[2], components * FREQUENCIES
        tiles = -(-rows * grid_columns // _TILE)
        codes = np.empty((channels, tiles * _TILE), self._dtype)
        errors = np.zeros((tiles, FREQUENCIES))
        total = np.zeros((2, CHANNELS), np.int64)
        flat = np.ascontiguousarray(pixels).reshape(height, width * components)
        flat.flags.writeable = False  # of this view; part of the type, and resized images are so
        tables = self._per_step, self._positions
        saturated = _encode(flat, components, grid_columns, *tables, codes, errors)
        _add_codes(codes, self._counter, total)
        out[:channels, :rows] = codes[:, : rows * grid_columns].reshape(channels, rows, -1)
        out[:channels, rows:] = 0
        out[channels:] = 0
        # Sums over all tiles are exact, too, unless codes were clipped.
        sums = errors if saturated else errors.sum(axis=0, keepdims=True)
        moments = Moments(rows * columns, *total)
        return CodeSums(moments, int(saturated), squared_error(sums, self._steps[0]))


def is_compiling() -> bool:
    """Return whether this process compiles or has compiled, rather than loaded code from disk."""
    return was_compiled(_encode)


@compiled
def _encode(
    pixels: Any,
    components: Any,
    grid_columns: Any,
    per_step: Any,
    positions: Any,
    codes: Any,
    errors: Any,
) -> Any:
    """Encode an image tile by tile; returns the number of clipped codes."""
    lines = np.full((BLOCK, BLOCK * components * grid_columns), PIXEL_OFFSET, np.uint8)
    words = np.empty(BLOCK * _WORD_LINE, np.uint32)
    scratch = np.empty((2, BLOCK * _LINE), np.float32)
    blocks = (pixels.shape[0] + BLOCK - 1) // BLOCK * grid_columns
    filled_row = -1
    saturated = 0
    for tile in range(errors.shape[0]):
        block = tile * _TILE
        end = block + _TILE
        while block < min(end, blocks):
            row = block // grid_columns
            if row != filled_row:
                _fill_lines(pixels, row, components, lines)
                filled_row = row
            column = block - row * grid_columns
            count = min(end - block, grid_columns - column)
            of_row = lines.view(np.uint32)[:, 2 * components * column :]
            _gather(of_row, components, count, words[_TILE - end + block :])
            block += count
        if block < end:
            _fill_tile(words, _TILE - end + block)
        for component in range(components):
            first = component * FREQUENCIES
            plane = codes[first : first + FREQUENCIES]
            _fold_columns(words, np.uint8(component), np.uint8(components), scratch[0])
            _fold_rows(scratch[0], scratch[1])
            _multiply(scratch[1], scratch[0])
            clipped = _round(
                scratch[0], per_step[component], positions[component], plane, _u4(tile)
            )
            saturated += clipped
            if component == 0 and clipped:
                _add_errors_of_clipped(
                    scratch[0], per_step[0], positions[0], plane, _u4(tile), errors[tile]
                )
            elif component == 0:
                _add_errors(scratch[0], per_step[0], errors[tile])
    return saturated


@compiled
def _fill_lines(pixels: Any, row: Any, components: Any, lines: Any) -> None:
    """Copy a row of blocks, repeating the edges of the image up to whole blocks."""
    height, width = pixels.shape
    whole = (width + BLOCK * components - 1) // (BLOCK * components) * (BLOCK * components)
    for y in range(BLOCK):
        source = min(row * BLOCK + y, height - 1)
        for x in range(width):
            lines[y, x] = pixels[source, x]
        for x in range(width, whole):
            lines[y, x] = lines[y, x - components]


@compiled
def _gather(lines: Any, components: Any, count: Any, words: Any) -> None:
    """Move four bytes at a time from blocks side by side to blocks in columns."""
    for y in range(BLOCK):
        of, to = lines[y], words[y * _WORD_LINE :]
        if components == len(COMPONENTS):  # six words known by number become vector shuffles
            for c in range(count):
                to[c], to[_TILE + c] = of[6 * c], of[6 * c + 1]
                to[2 * _TILE + c], to[3 * _TILE + c] = of[6 * c + 2], of[6 * c + 3]
                to[4 * _TILE + c], to[5 * _TILE + c] = of[6 * c + 4], of[6 * c + 5]
        else:
            for c in range(count):
                to[c], to[_TILE + c] = of[2 * c], of[2 * c + 1]


@compiled
def _fill_tile(words: Any, first: Any) -> None:
    """Fill the columns after the last block with blocks whose codes are 0."""
    for line in range(BLOCK * _WORDS):
        for c in range(first, _TILE):
            words[line * _TILE + c] = _FOUR_OFFSETS


@compiled
def _fold(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any) -> Any:
    p, q, r, s = a + h, b + g, c + f, d + e
    return p + s + (q + r), p + s - (q + r), p - s, q - r, a - h, b - g, c - f, d - e


@compiled
def _pixel(word: Any, shift: Any) -> Any:
    return _f4(_i4((word >> (shift & _LARGEST_SHIFT)) & _LOW_BYTE))


@compiled
def _put(values: Any, first: Any, pitch: Any, into: Any) -> None:
    into[first], into[pitch + first] = values[0], values[1]
    into[2 * pitch + first], into[3 * pitch + first] = values[2], values[3]
    into[4 * pitch + first], into[5 * pitch + first] = values[4], values[5]
    into[6 * pitch + first], into[7 * pitch + first] = values[6], values[7]


@compiled
def _fold_columns(words: Any, component: Any, components: Any, folded: Any) -> None:
    """Fold the eight pixels of each column of a plane: (folded, column, block)."""
    for x in range(BLOCK):
        byte = component + components * x
        first, shift = byte // 4 * _TILE, _u4(byte % 4 * 8)
        for c in range(_TILE):
            i = first + c
            values = _fold(
                _pixel(words[i], shift),
                _pixel(words[i + _WORD_LINE], shift),
                _pixel(words[i + 2 * _WORD_LINE], shift),
                _pixel(words[i + 3 * _WORD_LINE], shift),
                _pixel(words[i + 4 * _WORD_LINE], shift),
                _pixel(words[i + 5 * _WORD_LINE], shift),
                _pixel(words[i + 6 * _WORD_LINE], shift),
                _pixel(words[i + 7 * _WORD_LINE], shift),
            )
            _put(values, x * _TILE + c, _LINE, folded)


@compiled
def _fold_rows(columns: Any, folded: Any) -> None:
    """Fold what `_fold_columns` gave along the rows: (folded, folded, block)."""
    for line in range(BLOCK):
        for c in range(_TILE):
            i = line * _LINE + c
            values = _fold(
                columns[i],
                columns[i + _TILE],
                columns[i + 2 * _TILE],
                columns[i + 3 * _TILE],
                columns[i + 4 * _TILE],
                columns[i + 5 * _TILE],
                columns[i + 6 * _TILE],
                columns[i + 7 * _TILE],
            )
            _put(values, i, _TILE, folded)
    for c in range(_TILE):
        folded[c] -= _DC_OFFSET


@compiled
def _multiply(folded: Any, coefficients: Any) -> None:
    """Compute coefficients in raster order: (frequency, block)."""
    odd = folded[4 * _LINE :]
    _add_one(_0, folded, coefficients)
    _add_four(_1, _3, _5, _7, odd, coefficients[_LINE:])
    _add_two(_2, _6, folded[2 * _LINE :], coefficients[2 * _LINE :])
    _add_four(_3, _MINUS_7, _MINUS_1, _MINUS_5, odd, coefficients[3 * _LINE :])
    _add_one(_4, folded[_LINE:], coefficients[4 * _LINE :])
    _add_four(_5, _MINUS_1, _7, _3, odd, coefficients[5 * _LINE :])
    _add_two(_6, _MINUS_2, folded[2 * _LINE :], coefficients[6 * _LINE :])
    _add_four(_7, _MINUS_5, _3, _MINUS_1, odd, coefficients[7 * _LINE :])


@compiled
def _add_line(k: Any, f: Any, i: Any, to: Any) -> Any:
    """Add a folded line's share of the eight horizontal frequencies."""
    a, b, c, d = f[i + 4 * _TILE], f[i + 5 * _TILE], f[i + 6 * _TILE], f[i + 7 * _TILE]
    two, six = f[i + 2 * _TILE], f[i + 3 * _TILE]
    return (
        to[0] + k[0] * f[i],
        to[1] + k[1] * a + k[3] * b + k[5] * c + k[7] * d,
        to[2] + k[2] * two + k[6] * six,
        to[3] + k[3] * a - k[7] * b - k[1] * c - k[5] * d,
        to[4] + k[4] * f[i + _TILE],
        to[5] + k[5] * a - k[1] * b + k[7] * c + k[3] * d,
        to[6] + k[6] * two - k[2] * six,
        to[7] + k[7] * a - k[5] * b + k[3] * c - k[1] * d,
    )


@compiled
def _add_one(k: Any, f: Any, coefficients: Any) -> None:
    for c in range(_TILE):
        _put(_add_line(k, f, c, _NONE), c, _TILE, coefficients)


@compiled
def _add_two(k: Any, m: Any, f: Any, coefficients: Any) -> None:
    for c in range(_TILE):
        sums = _add_line(m, f, _LINE + c, _add_line(k, f, c, _NONE))
        _put(sums, c, _TILE, coefficients)


@compiled
def _add_four(k: Any, m: Any, n: Any, o: Any, f: Any, coefficients: Any) -> None:
    for c in range(_TILE):
        half = _add_line(m, f, _LINE + c, _add_line(k, f, c, _NONE))
        sums = _add_line(o, f, 3 * _LINE + c, _add_line(n, f, 2 * _LINE + c, half))
        _put(sums, c, _TILE, coefficients)


@compiled
def _round(coefficients: Any, per_step: Any, positions: Any, codes: Any, tile: Any) -> Any:
    """Round the coefficients of a tile and store their codes; returns how many were clipped."""
    low, high = _i4(np.iinfo(codes.dtype).min), _i4(np.iinfo(codes.dtype).max)
    clipped = _i4(0)
    for k in range(FREQUENCIES):
        factor, position = per_step[k], positions[k]
        for c in range(_TILE):
            nearest = _i4(np.rint(coefficients[k * _TILE + c] * factor))
            code = max(min(nearest, high), low)
            clipped = _i4(clipped + _i4(nearest != code))
            codes[position, tile * _TILE + c] = code
    return clipped


@compiled
def _add_errors(coefficients: Any, per_step: Any, errors: Any) -> None:
    """Add up squared errors of luma without clipped codes, in units; exact in float32."""
    for k in range(FREQUENCIES):
        factor, total = per_step[k], _f4(0)
        for c in range(_TILE):
            scaled = coefficients[k * _TILE + c] * factor
            error = np.rint((scaled - np.rint(scaled)) * _UNITS)
            total += error * error
        errors[k] = total


@compiled
def _add_errors_of_clipped(
    coefficients: Any, per_step: Any, positions: Any, codes: Any, tile: Any, errors: Any
) -> None:
    """Add up squared errors of luma, in units; exact in float64."""
    for k in range(FREQUENCIES):
        factor, total = per_step[k], 0.0
        for c in range(_TILE):
            code = _f4(codes[positions[k], tile * _TILE + c])
            error = np.float64(np.rint((coefficients[k * _TILE + c] * factor - code) * _UNITS))
            total += error * error
        errors[k] = total


@compiled
def _add_codes(codes: Any, counter: Any, total: Any) -> None:
    """Add up codes and squared codes, in integers of the type of ``counter``."""
    count = counter.dtype.type
    for channel in range(codes.shape[0]):
        for first in range(0, codes.shape[1], _SHORT_SUM):
            plain, squares = count(0), count(0)
            for c in range(first, min(first + _SHORT_SUM, codes.shape[1])):
                code = count(codes[channel, c])
                plain = count(plain + code)
                squares = count(squares + code * code)
            total[0, channel] += plain
            total[1, channel] += squares
