"""Files beside a store: its lock, one whatever links lead to it, and its log."""

import errno
import os

import pytest

import freqprep
from freqprep.errors import StoreError, StoreLockedError
from freqprep.store import lock
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


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_nothing_is_written(tmp_path, monkeypatch, number):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with pytest.raises(StoreError, match="no flock") as error, store_lock(tmp_path / "store.zarr"):
        pytest.fail("the block runs")
    assert error.value.remedy.startswith("mount it with locks")
    assert os.listdir(tmp_path) == []
    (tmp_path / "store.zarr.lock").write_text("someone's")
    with pytest.raises(StoreError, match="no flock"), store_lock(tmp_path / "store.zarr"):
        pytest.fail("the block runs")
    assert (tmp_path / "store.zarr.lock").read_text() == "someone's"


@pytest.mark.parametrize("torn", ["", '{"content_id": "ab', "\n", "\xff"])
def test_a_line_that_was_cut_off_takes_no_other_with_it(copy, torn):
    split = freqprep.open_store(copy)["train"]
    log_path(copy).write_text(torn)
    for source in ("first", "second"):
        append_log(copy, {"content_id": split.content_id, "source": source})
        assert source_of(copy, split) == source
    assert log_path(copy).read_text().startswith(torn)
