"""A selection's file: what is written is read again, and hostile ones have named errors."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

import freqprep
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, FormatVersionError, StoreError, UsageError
from freqprep.spectrum.channels import CHANNELS, Selection
from freqprep.storage.document_hash import with_hash
from freqprep.store.selection_file import read_document, read_selection, write_selection
from freqprep.store.selections import FOLDER, save_selection, saved_selections, select
from freqprep.store.verify import verify

MINE = Selection((64, 3, 0), "mine")
WHOLE = {
    "format": "freqprep-selection",
    "format_version": "1.0",
    "name": "mine",
    "channels": ["cb_0_0", "y_0_3", "y_0_0"],
    "made_from": {"by": "energy"},
}
HASH = {"sha256": "63c95a259d140d5f4b5f81e76b0791b88ccbd41b7c78ce45500ae4b53eb4a1f3"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    indices=st.lists(st.integers(0, CHANNELS - 1), min_size=1, unique=True),
    name=st.text(),
    made_from=st.dictionaries(st.text(), json_values, max_size=4),
)
def test_what_is_written_is_read_and_written_the_same_again(
    tmp_path_factory, indices, name, made_from
):
    path = tmp_path_factory.mktemp("selection") / "any.json"
    chosen = Selection(tuple(indices), name)
    write_selection(path, chosen, made_from)
    data = path.read_bytes()
    assert read_selection(path) == chosen
    document = read_document(path)
    assert document["made_from"] == made_from
    assert data == (json.dumps(with_hash(document), indent=1) + "\n").encode()
    write_selection(path, read_selection(path), document["made_from"])
    assert path.read_bytes() == data
    assert os.listdir(path.parent) == ["any.json"]


def test_the_file_is_the_one_that_is_documented(copy):
    path = save_selection(copy, MINE, {"by": "energy"})
    assert path == copy / FOLDER / "mine.json"
    assert path.read_text() == json.dumps(WHOLE | HASH, indent=1) + "\n"
    assert path.stat().st_mode & 0o777 == (copy / "zarr.json").stat().st_mode & 0o777


@pytest.mark.parametrize(
    "made_from",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": np.int64(1)}, {"a": {1, 2}}, {("a",): 1}]
    + [{"a": "b" * 2**20}, json.loads('{"a":' * 40 + "1" + "}" * 40)],
)
def test_what_could_not_be_read_again_is_not_written(copy, made_from):
    save_selection(copy, MINE, {})
    before = synthetic.contents(copy)
    with pytest.raises(UsageError, match="cannot be saved"):
        save_selection(copy, Selection((1,), "mine"), made_from)
    with pytest.raises(UsageError, match="twice"):
        save_selection(copy, Selection((1, 1), "mine"), {})
    assert synthetic.contents(copy) == before


def test_a_file_without_a_hash_is_read_and_another_hash_is_refused(tmp_path):
    path = tmp_path / "mine.json"
    for whole in (WHOLE, WHOLE | HASH):
        path.write_text(json.dumps(whole))
        assert read_selection(path) == MINE
        assert read_document(path) == WHOLE
    for hashed in (HASH["sha256"].upper(), "", None, 0, [HASH["sha256"]], "\0" * 64):
        path.write_text(json.dumps(WHOLE | {"sha256": hashed}))
        with pytest.raises(CorruptStoreError, match="damaged, or was edited"):
            read_selection(path)


def put(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(WHOLE | changes))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "empty": Path.touch,
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00{"),
    "cut off": lambda path: path.write_text(json.dumps(WHOLE)[:-9]),
    "too large": lambda path: put(path, made_from={"a": " " * 2**20}),
    "nested": lambda path: path.write_text("[" * 100_000),
    "nested, closed": lambda path: path.write_text("[" * 900 + "]" * 900),
    "deep origin": lambda path: put(path, made_from=json.loads('{"a":' * 50 + "1" + "}" * 50)),
    "not a number": lambda path: put(path, made_from={"a": float("nan")}),
    "infinite": lambda path: put(path, made_from={"a": float("-inf")}),
    "overflow": lambda path: path.write_text(json.dumps(WHOLE).replace('"energy"', "1e999")),
    "long number": lambda path: path.write_text(json.dumps(WHOLE).replace('"energy"', "9" * 9999)),
    "null": lambda path: path.write_text("null"),
    "list": lambda path: path.write_text(json.dumps([WHOLE])),
    "other format": lambda path: put(path, format="freqprep"),
    "listed format": lambda path: put(path, format=["freqprep-selection"]),
    "newer major": lambda path: put(path, format_version="2.0", channels={"y": 3}),
    "newer minor": lambda path: put(path, format_version="1.1"),
    "no version": lambda path: put(path, format_version=None),
    "numeric version": lambda path: put(path, format_version=1.0),
    "odd version": lambda path: put(path, format_version="1." + "0" * 5000),
    "foreign digits": lambda path: put(path, format_version="1.\u0660"),
    "no name": lambda path: put(path, name=None),
    "numeric name": lambda path: put(path, name=3),
    "no origin": lambda path: put(path, made_from=None),
    "listed origin": lambda path: put(path, made_from=[]),
    "no channels": lambda path: put(path, channels=[]),
    "one text": lambda path: put(path, channels="y_0_0"),
    "indices": lambda path: put(path, channels=[0, 1]),
    "mixed": lambda path: put(path, channels=["y_0_0", None]),
    "lists": lambda path: put(path, channels=[["y_0_0"]]),
    "unknown": lambda path: put(path, channels=["y_0_0", "y_8_0"]),
    "a rule": lambda path: put(path, channels=["square-24"]),
    "long unknown": lambda path: put(path, channels=["y" * 900_000]),
    "repeated": lambda path: put(path, channels=["y_0_0", "y_0_1", "y_0_0"]),
    "very often": lambda path: put(path, channels=["y_0_0"] * 100_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_have_named_errors(val, tmp_path, kind):
    store, path = val.path.parent, tmp_path / "mine.json"
    HOSTILE[kind](path)
    expected = FormatVersionError if kind.startswith("newer") else StoreError
    with pytest.raises(StoreError) as error:
        select(str(path), val)
    assert type(error.value) is expected
    assert str(path) in error.value.message and error.value.remedy
    assert len(error.value.message) < 400 + len(str(path))
    if kind == "missing":
        return
    (store / FOLDER).mkdir()
    HOSTILE[kind](store / FOLDER / "mine.json")
    (found,) = verify(store, Workers(1), "val").problems
    assert found.where == f"{FOLDER}/mine.json" and found.what
    assert saved_selections(store) == {}


@pytest.mark.parametrize("path", ["a\0b.json", "x" * 5000 + ".json", ".json", "/.json", "a/b.json"])
def test_impossible_paths_have_named_errors(path):
    with pytest.raises(StoreError):
        freqprep.channels(path)


def test_unknown_keys_are_passed_over(tmp_path):
    put(tmp_path / "mine.json", note="from a later minor version")
    assert freqprep.channels(tmp_path / "mine.json") == MINE
