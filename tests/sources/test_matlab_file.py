"""Structs in MATLAB's files: as scipy reads them, or a ValueError; no memory beyond the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from freqprep.sources import matlab_file
from freqprep.sources.matlab_file import read_structs

FIELDS = ("ILSVRC2012_ID", "WNID")


def written(rows: list[tuple[object, object]], packed: bool = False) -> bytes:
    """A file as the devkit's: more fields than those that are read, and another variable."""
    kinds = [(name, object) for name in (*FIELDS, "children", "words")]
    more = [(*row, np.arange(3.0), "a word") for row in rows]
    out = io.BytesIO()
    synsets = np.array(more, kinds).reshape(-1, 1)
    savemat(out, {"other": np.eye(3), "synsets": synsets}, do_compression=packed)
    return out.getvalue()


numbers = st.integers(0, 255) | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(numbers, st.from_regex(r"[a-zé0-9]{1,12}", fullmatch=True)), min_size=1),
    st.booleans(),
)
def test_it_reads_what_scipy_reads(rows, packed):
    data = written(rows, packed)
    found = read_structs(data, "synsets", FIELDS)
    assert found == [(float(number), text) for number, text in rows]
    theirs = loadmat(io.BytesIO(data), squeeze_me=True)["synsets"].reshape(-1)
    assert found == [(float(row[FIELDS[0]]), str(row[FIELDS[1]])) for row in theirs]
    assert read_structs(data, "synsets", FIELDS[::-1]) == [one[::-1] for one in found]


def test_values_of_other_kinds_are_none():
    assert read_structs(written([([], {"a": 1})]), "synsets", FIELDS) == [(None, None)]


def test_big_endian_files_are_read():
    def element(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body)) + body + bytes(-len(body) % 8)

    def array(kind: int, sides: list[int], name: bytes, *parts: bytes) -> bytes:
        head = element(6, struct.pack(">II", kind, 0)) + element(
            5, np.array(sides, ">i4").tobytes()
        )
        return element(14, head + element(1, name) + b"".join(parts))

    number = array(6, [1, 1], b"", element(4, struct.pack(">H", 777)))
    text = array(4, [1, 2], b"", element(4, "né".encode("utf-16-be")))
    names = struct.pack(">HHI", 4, 5, 2)  # a small element: four bytes
    structs = array(2, [1, 1], b"s", names, element(1, b"a\0b\0"), number, text)
    data = bytes(126) + b"MI" + structs
    assert read_structs(data, "s", ("a", "b")) == [(777.0, "né")]


WHOLE = written([(1, "n01440764"), (2, "n01443537")])
PACKED = written([(1, "n01440764")], packed=True)


@pytest.mark.parametrize("data", [WHOLE, PACKED], ids=["plain", "packed"])
def test_what_is_cut_off_is_refused(data):
    for length in range(0, len(data) - 8, 7):
        with pytest.raises(ValueError, match=r"."):
            read_structs(data[:length], "synsets", FIELDS)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 8 * len(WHOLE) - 1), st.sampled_from([b"", b"\xff" * 4, b"\x7f", bytes(8)]))
def test_a_changed_file_is_read_or_refused(bit, put):
    data = bytearray(WHOLE)
    data[bit // 8] ^= 1 << bit % 8
    data[bit // 8 : bit // 8 + len(put)] = put
    try:
        found = read_structs(bytes(data), "synsets", FIELDS)
    except ValueError:
        return
    assert all(isinstance(value, (str, float, type(None))) for row in found for value in row)


def test_structs_that_are_stated_and_not_there_take_no_memory():
    sides = struct.pack("<ii", 2, 1)
    at = WHOLE.index(sides, WHOLE.index(b"synsets") - 40)
    data = WHOLE[:at] + struct.pack("<ii", 2**30, 2**30) + WHOLE[at + 8 :]
    with pytest.raises(ValueError, match=f"fewer than {2**60} structs"):
        read_structs(data, "synsets", FIELDS)


def test_a_variable_that_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(matlab_file, "MOST_BYTES", 2**20)
    packed = zlib.compress(bytes(2**24))
    data = WHOLE[:128] + struct.pack("<II", 15, len(packed)) + packed
    with pytest.raises(ValueError, match="a variable of more than"):
        read_structs(data, "synsets", FIELDS)


@pytest.mark.parametrize(
    ("variable", "fields", "what"),
    [("other", FIELDS, "no array of structs"), ("synsets", ("x",), "no field 'x'")],
)
def test_what_is_not_there_is_named(variable, fields, what):
    with pytest.raises(ValueError, match=what):
        read_structs(WHOLE, variable, fields)
