"""Files beside a store: its lock, one whatever links lead to it, and its log."""

import os

import pytest

import freqprep
from freqprep.errors import StoreLockedError
from freqprep.store.lock import store_lock
from freqprep.store.log import append_log, log_path, source_of


@pytest.mark.parametrize("held, other", [("real", "link"), ("link", "real")])
def test_a_link_to_a_store_has_the_store_s_lock(tmp_path, held, other):
    (tmp_path / "elsewhere").mkdir()
    paths = {"real": tmp_path / "elsewhere/store.zarr", "link": tmp_path / "link.zarr"}
    paths["link"].symlink_to(paths["real"])
    with (
        store_lock(paths[held]),
        pytest.raises(StoreLockedError, match="another command"),
        store_lock(paths[other]),
    ):
        pass
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("torn", ["", '{"content_id": "ab', "\n", "\xff"])
def test_a_line_that_was_cut_off_takes_no_other_with_it(copy, torn):
    split = freqprep.open_store(copy)["train"]
    log_path(copy).write_text(torn)
    for source in ("first", "second"):
        append_log(copy, {"content_id": split.content_id, "source": source})
        assert source_of(copy, split) == source
    assert log_path(copy).read_text().startswith(torn)
