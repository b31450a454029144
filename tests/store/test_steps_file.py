"""Steps files: written and read again, and refused by name if anything is wrong with them."""

import json
import math

import pytest
import subset

from freqprep.errors import FormatVersionError, StoreError, UsageError
from freqprep.spectrum.quantization import PRECISIONS, Precision
from freqprep.store.steps_file import read_steps, write_steps


@pytest.mark.parametrize(
    "precision", [subset.MIXED, subset.FINE, *PRECISIONS.values()], ids=lambda one: one.name
)
def test_what_is_written_is_read(precision, tmp_path):
    path = tmp_path / "steps.json"
    write_steps(path, precision)
    assert read_steps(path) == precision
    write_steps(path, precision)
    assert [file.name for file in tmp_path.iterdir()] == ["steps.json"]


def changed(where: tuple, value: object) -> dict:
    document = {"format": "freqprep-steps", "format_version": "1.0", **subset.MIXED.to_dict()}
    document["name"] = document.pop("precision")
    inside = document
    for key in where[:-1]:
        inside = inside[key]
    inside[where[-1]] = value
    return document


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("name",), "int8", "not the steps of int8"),
        (("name",), "compact", "other steps"),
        (("name",), 8, "cannot be the name"),
        (("name",), "a/b", "cannot be the name"),
        (("codes",), "float64", "'float64' do not exist"),
        (("steps",), [8] * 192, "for each component"),
        (("steps", "y"), [[8] * 8] * 7, "steps of y are not 8x8"),
        (("steps", "y", 0), [8] * 7, "steps of y are not 8x8"),
        (("steps", "cb", 1, 2), 3, "step of cb_1_2 is 3"),
        (("steps", "cb", 1, 2), 0, "step of cb_1_2 is 0"),
        (("steps", "cb", 1, 2), True, "step of cb_1_2 is True"),
        (("steps", "cb", 1, 2), math.nan, "NaN"),
        (("steps", "cb", 1, 2), 2**11, "step of cb_1_2 is 2048"),
    ],
    ids=str,
)
def test_a_malformed_file_is_refused_by_name(where, value, message, tmp_path):
    path = tmp_path / "steps.json"
    path.write_text(json.dumps(changed(where, value)))
    with pytest.raises(StoreError, match=message) as caught:
        read_steps(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("missing", ["name", "codes", "steps", "format", "format_version"])
def test_a_missing_key_is_refused(missing, tmp_path):
    path = tmp_path / "steps.json"
    document = changed(("name",), "mine")
    del document[missing]
    path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match=missing):
        read_steps(path)


def test_newer_files_and_other_names_are_refused(tmp_path):
    path = tmp_path / "steps.json"
    path.write_text(json.dumps(changed(("format_version",), "1.1")))
    with pytest.raises(FormatVersionError, match=r"format 1\.1"):
        read_steps(path)
    with pytest.raises(UsageError, match=r"ends in \.json"):
        write_steps(tmp_path / "steps.txt", subset.MIXED)
    with pytest.raises(UsageError, match="name of a precision"):
        Precision("", "int8", subset.MIXED.steps)
