"""Short vectors of float32 for compiled functions: what a processor's vector registers hold.

Numba vectorises loops by itself, but keeps no sums of several vectors in registers. With these
operations a function says which vectors it holds; LLVM splits them where registers are shorter.
Arrays are contiguous, and indices count from 0, are not checked and need not be aligned. Needs
Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

_Typed = tuple[Any, Callable[..., Any]]

_FUSED = ("contract", "reassoc", "nsz")  # one rounding for a product and its sum, where it can be


def _operation(function: Callable[..., _Typed]) -> Any:
    return intrinsic(function)


class _Lanes(types.Type):
    def __init__(self, count: int) -> None:
        super().__init__(f"Lanes{count}")
        self.vector = ir.VectorType(ir.FloatType(), count)


def _model(manager: Any, lanes: Any) -> Any:
    primitive: Any = models.PrimitiveModel
    return primitive(manager, lanes, lanes.vector)


register_model(_Lanes)(_model)
_FOUR, _EIGHT = _Lanes(4), _Lanes(8)
_BOTH = list(range(16))  # the lanes of two vectors


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _shuffle(builder: Any, one: Any, other: Any, order: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    return builder.shuffle_vector(one, other, mask)


def _all_lanes(builder: Any, value: Any, vector: Any) -> Any:
    index = ir.Constant(ir.IntType(32), 0)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, index)
    return _shuffle(builder, first, first, [0] * vector.count)


def _loading(lanes: Any, order: list[int] | None = None) -> Any:
    """Make a load of some elements as float32; ``order``: which of them go to which lane."""
    count = lanes.vector.count if order is None else max(order) + 1

    def load(typing: Any, array: Any, index: Any) -> _Typed:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array_type = signature.args[0]
            pointer = _address(context, builder, array_type, *arguments)
            element = context.get_value_type(array_type.dtype)
            vector = ir.VectorType(element, count)
            size = array_type.dtype.bitwidth // 8
            value = builder.load(builder.bitcast(pointer, vector.as_pointer()), align=size)
            if element != ir.FloatType():
                value = builder.sitofp(value, ir.VectorType(ir.FloatType(), count))
            return value if order is None else _shuffle(builder, value, value, order)

        return lanes(array, types.intp), generate

    return _operation(load)


def _pairwise(instruction: str) -> Any:
    def combine(typing: Any, left: Any, right: Any) -> _Typed:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return left(left, left), generate

    return _operation(combine)


load4, load8 = _loading(_FOUR), _loading(_EIGHT)
"""``load8(array, index)``: the next elements of an array of float32, int8 or int16."""

spread4, spread8 = _loading(_FOUR, [0] * 4), _loading(_EIGHT, [0] * 8)
"""``spread8(array, index)``: one element in all lanes."""

load_pairs = _loading(_EIGHT, [0, 1] * 4)
"""``load_pairs(array, index)``: two elements, four times."""

load_doubled = _loading(_EIGHT, [0, 0, 1, 1, 2, 2, 3, 3])
"""``load_doubled(array, index)``: four elements, each of them twice."""

times, minus, over = _pairwise("fmul"), _pairwise("fsub"), _pairwise("fdiv")
"""``over(left, right)``: left / right, lane by lane."""


@_operation
def zeros8(typing: Any) -> _Typed:
    """``zeros8()``: zero in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_EIGHT.vector, None)

    return _EIGHT(), generate


@_operation
def splat8(typing: Any, value: Any) -> _Typed:
    """``splat8(value)``: a number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _all_lanes(builder, arguments[0], _EIGHT.vector)

    return _EIGHT(types.float32), generate


@_operation
def fused(typing: Any, left: Any, right: Any, add: Any) -> _Typed:
    """``fused(left, right, add)``: left * right + add."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right, add = arguments
        return builder.fadd(builder.fmul(left, right, flags=_FUSED), add, flags=_FUSED)

    return left(left, left, left), generate


@_operation
def store(typing: Any, array: Any, index: Any, lanes: Any) -> _Typed:
    """``store(array, index, lanes)``: write to an array of float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, value = arguments
        return _write(context, builder, signature.args[0], array, index, value)

    return types.void(array, types.intp, lanes), generate


@_operation
def store_by_lane(
    typing: Any, array: Any, index: Any, one: Any, two: Any, three: Any, four: Any
) -> _Typed:
    """``store_by_lane(array, index, a, b, c, d)``: writes a[0], b[0], c[0], d[0], a[1], ..."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, one, two, three, four = arguments
        low, high = (_shuffle(builder, *pair, _BOTH) for pair in ((one, two), (three, four)))
        mixed = _shuffle(builder, low, high, [8 * (i % 4) + i // 4 for i in range(32)])
        return _write(context, builder, signature.args[0], array, index, mixed)

    return types.void(array, types.intp, *[_EIGHT] * 4), generate


@_operation
def store_by_pair(typing: Any, array: Any, index: Any, one: Any, other: Any) -> _Typed:
    """``store_by_pair(array, index, a, b)``: writes a[0], a[2], a[4], a[6], a[1], ...; b likewise.

    So sums of `load_pairs` times `load_doubled` become the rows of a matrix.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, one, other = arguments
        order = [0, 2, 4, 6, 1, 3, 5, 7]
        mixed = _shuffle(builder, one, other, order + [8 + i for i in order])
        return _write(context, builder, signature.args[0], array, index, mixed)

    return types.void(array, types.intp, _EIGHT, _EIGHT), generate


def _write(context: Any, builder: Any, array_type: Any, array: Any, index: Any, value: Any) -> Any:
    pointer = _address(context, builder, array_type, array, index)
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=4)
    return context.get_dummy_value()


@_operation
def at(typing: Any, array: Any, index: Any) -> _Typed:
    """``at(array, index)``: an element, without the look whether the index is negative."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_address(context, builder, signature.args[0], *arguments))

    return array.dtype(array, types.intp), generate
