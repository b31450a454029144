"""What cannot be read is called damaged only where its files are to blame."""

import errno
import os

import pytest

import freqprep
from freqprep.errors import CorruptStoreError, StoreError
from freqprep.store import manifest, plan
from freqprep.store.plan import load_attributes, load_plan, save_attributes


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "ulimit -n"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "memory"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "permissions"),
        (MemoryError(), "memory"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "--overwrite"),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)), "--overwrite"),
    ],
    ids=repr,
)
def test_the_advice_fits_the_error(store, tmp_path, monkeypatch, error, advice):
    save_attributes(freqprep.open_store(store)["train"].attributes, tmp_path)
    assert load_attributes(tmp_path)

    def fail(*_given):
        raise error

    monkeypatch.setattr(plan, "_open_rows", fail)
    with pytest.raises(StoreError) as caught:
        load_plan(tmp_path)
    assert advice in caught.value.remedy
    assert isinstance(caught.value, CorruptStoreError) == (advice == "--overwrite")
    if not isinstance(error, MemoryError):
        monkeypatch.setattr(plan, "read_regular", fail)
        with pytest.raises(StoreError) as caught:
            load_attributes(tmp_path)
        assert advice in caught.value.remedy


def test_a_document_is_not_damaged_where_the_process_has_too_many_files(store, monkeypatch):
    def fail(*_given):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(manifest, "read_regular", fail)
    with pytest.raises(StoreError, match="cannot be read: Too many open files") as caught:
        manifest.read_group_attributes(store / "train")
    assert "ulimit -n" in caught.value.remedy
    assert not isinstance(caught.value, CorruptStoreError)
