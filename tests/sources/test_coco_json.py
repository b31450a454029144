"""Reading JSON by element gives what reading it at once gives."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.sources.coco_json import read_arrays

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), st.lists(values), max_size=4), st.sampled_from([None, 0, 3]))
def test_reading_by_element_equals_reading_at_once(content, indent):
    text = json.dumps(content, indent=indent)
    read: dict[str, list[Any]] = {key: [] for key in content}
    assert read_arrays(text, {key: taken.append for key, taken in read.items()}) == set(content)
    assert read == json.loads(text)
    assert read_arrays(text, {}) == set(content)
