"""One reader of JSON for all: its rules, and that nothing else parses JSON."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqprep.storage.strict_json import MOST_LEVELS, check_levels, parse, parse_at

PACKAGES = Path(__file__).resolve().parents[2]

numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(documents)
def test_what_is_written_is_read(document):
    text = json.dumps(document)
    assert parse(text) == parse(text.encode()) == document
    assert parse_at(f"--{text}, 1", 2) == (document, 2 + len(text))


def test_a_key_among_many_that_is_there_twice():
    many = ",".join(f'"{number}": 0' for number in range(300_000))
    with pytest.raises(ValueError, match="'299999' is there twice"):
        parse(f'{{{many}, "299999": 0}}')


@given(st.binary() | st.text())
def test_anything_else_is_a_value_error_or_what_the_standard_library_reads(data):
    try:
        found = parse(data)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 200
    else:
        assert found == json.loads(data)


REFUSED = {
    "deep list": ("[" * 200_000, "nested too deeply"),
    "deep object": ('{"a":' * 200_000, "nested too deeply"),
    "a whole deep list": ("[" * 900 + "]" * 900, "nested too deeply"),
    "just too deep": ("[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1), "nested too deeply"),
    "NaN": ('{"a": NaN}', "NaN is not a number"),
    "infinity": ("[-Infinity]", "-Infinity is not a number"),
    "a large float": ("1e999", "1e999 is too large"),
    "many digits": ("9" * 301, "a number of 301 digits"),
    "too many digits for Python": ("9" * 5000, "a number of 5000 digits"),
    "a key twice": ('{"b": {"a": 1, "a": 2}}', "the key 'a' is there twice"),
    "no text": (b'"\xff"', "not UTF-8"),
    "nothing": ("", "Expecting value"),
    "more": ("1 2", "Extra data"),
}


@pytest.mark.parametrize(("text", "what"), REFUSED.values(), ids=REFUSED)
def test_each_refusal_says_what_is_wrong(text, what):
    with pytest.raises(ValueError, match=re.escape(what)):
        parse(text)


def test_a_value_inside_a_text_is_refused_at_its_place():
    for text in ("[" * 200_000, "[" * 900 + "]" * 900, "[NaN]", "9" * 5000):
        with pytest.raises(json.JSONDecodeError) as caught:
            parse_at(f"  {text}", 2)
        assert caught.value.pos >= 2


def test_documents_may_be_as_deep_as_the_limit_says():
    text = "[" * MOST_LEVELS + "]" * MOST_LEVELS
    check_levels(parse(text))
    assert parse_at(text, 0)[0] == parse(text)


def test_no_other_module_parses_json():
    found = [
        path.name
        for folder in ("freqprep", "cli")
        for path in (PACKAGES / folder).rglob("*.py")
        if re.search(r"json\.loads?\(|JSONDecoder\(", path.read_text())
    ]
    assert found == ["strict_json.py"]
