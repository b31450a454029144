"""The chunk cache: never more than its limit, never another chunk, least recently used first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.store.cache import ChunkCache

keys = st.tuples(st.integers(0, 3), st.integers(0, 3))
steps = st.lists(st.tuples(keys, st.integers(0, 60), st.booleans()), max_size=60)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 150), steps)
def test_it_is_a_least_recently_used_cache_of_so_many_bytes(limit, actions):
    cache = ChunkCache(limit)
    model: dict[tuple[int, int], np.ndarray] = {}  # oldest use first
    for key, size, asking in actions:
        if asking:
            found = cache.get(key)
            assert found is model.get(key)
            if found is not None:
                model[key] = model.pop(key)
            continue
        chunk = np.zeros(size, np.int8)
        cache.put(key, chunk)
        model.pop(key, None)
        model[key] = chunk
        while sum(kept.nbytes for kept in model.values()) > limit:
            del model[next(iter(model))]
    assert all(cache.get(key) is chunk for key, chunk in model.items())
