"""Documents with a hash of themselves: no flipped bit gives another content, in no kind of file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import subset
import synthetic
from hypothesis import given
from hypothesis import strategies as st

import freqprep
from freqprep.errors import CorruptStoreError, FreqprepError
from freqprep.importance.score_file import read_scores
from freqprep.spectrum.channels import NAMES
from freqprep.storage.document_hash import HASH_KEY, with_hash, without_hash
from freqprep.store.plan import load_attributes, save_attributes
from freqprep.store.selection_file import read_document, read_selection, write_selection
from freqprep.store.steps_file import read_steps, write_steps

texts = st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text())


@given(texts)
def test_the_hash_is_that_of_all_else(content):
    hashed = with_hash(content)
    assert list(hashed) == [*(key for key in content if key != HASH_KEY), HASH_KEY]
    assert with_hash(hashed) == hashed
    parsed = json.loads(json.dumps(hashed, indent=1))
    found = without_hash(parsed)
    assert without_hash(found) == found == {k: v for k, v in content.items() if k != HASH_KEY}
    with pytest.raises(ValueError, match="sha256"):
        without_hash({**parsed, "another": 1})


def selection(path: Path) -> Callable[[Path], Any]:
    write_selection(path, freqprep.channels("paper-6"), {"by": "energy", "bytes": 812.5})
    return lambda path: {key: read_document(path)[key] for key in ("name", "channels", "made_from")}


def steps(path: Path) -> Callable[[Path], Any]:
    write_steps(path, subset.MIXED)
    return read_steps


def scores(path: Path) -> Callable[[Path], Any]:
    values = {name: index / 7 for index, name in enumerate(NAMES)}
    document = {"format": "freqprep-scores", "name": "mine", "values": values}
    path.write_text(json.dumps(with_hash(document), indent=1))
    return lambda path: read_scores(path).values.tolist()


def plan(path: Path) -> Callable[[Path], Any]:
    source = synthetic.image_folder(path.parent / "images", {"train": 3})
    store = synthetic.make(source, path.parent / "of-plan.zarr", size=16)
    save_attributes(freqprep.open_store(store)["train"].attributes, path.parent)
    return lambda path: load_attributes(path.parent)


def model_config(path: Path) -> Callable[[Path], Any]:
    pytest.importorskip("torch")
    import runs

    from freqprep.training.model_config import read_model_config, write_model_config

    source = synthetic.image_folder(path.parent / "images", {"train": 3})
    split = freqprep.open_store(synthetic.make(source, path.parent / "of-run.zarr"))["train"]
    write_model_config(path.parent, runs.make_config(split))
    return lambda path: read_model_config(path.parent)


KINDS = {
    "mine.json": selection,
    "mine.steps.json": steps,
    "scores.json": scores,
    "plan.json": plan,
    "model.json": model_config,
}
FLIPS = 400


@pytest.mark.parametrize("name", KINDS)
def test_a_flipped_bit_is_an_error_or_changes_nothing(name, tmp_path):
    path = tmp_path / name
    read = KINDS[name](path)
    whole, content = path.read_bytes(), read(path)
    bits = 8 * len(whole)
    refused = 0
    for bit in np.random.default_rng(0).permutation(bits)[:FLIPS].tolist():
        path.write_bytes(whole)
        synthetic.flip(path, bit)
        try:
            assert read(path) == content, f"bit {bit} gives another content"
        except FreqprepError as error:
            refused += 1
            assert str(path) in str(error) or str(path.parent) in str(error)
    assert refused > FLIPS * 0.6  # the others are in white space, or in the name of the hash


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("mine.json", b"y_0_1", b"y_0_3"), ("mine.steps.json", b"8", b"16")],
)
def test_a_changed_digit_is_called_damage_and_a_hand_may_change_it(name, before, after, tmp_path):
    path = tmp_path / name
    read = KINDS[name](path)
    whole = path.read_bytes()
    assert before in whole
    path.write_bytes(whole.replace(before, after, 1))
    with pytest.raises(CorruptStoreError, match="damaged, or was edited") as caught:
        read(path)
    assert HASH_KEY in caught.value.remedy
    document = json.loads(path.read_bytes())
    del document[HASH_KEY]
    path.write_text(json.dumps(document))
    assert read(path)


def test_the_hash_is_in_every_selection(tmp_path):
    path = tmp_path / "mine.json"
    selection(path)
    assert HASH_KEY in json.loads(path.read_bytes())
    assert read_selection(path) == freqprep.channels("paper-6")
