"""File systems without hard links, as exFAT and some of networks: the same stores."""

import errno
import os

import pytest
import synthetic


@pytest.fixture(autouse=True)
def no_links(monkeypatch):
    def link(*_, **__):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


def test_a_conversion_ends_in_the_same_store(source, store, tmp_path):
    assert synthetic.digest(synthetic.make(source, tmp_path / "s.zarr")) == synthetic.digest(store)


def test_rejected_images_are_tried_again(tmp_path):
    source = synthetic.image_folder(tmp_path / "source", {"train": 300}, corrupt=1)
    made = synthetic.make(source, tmp_path / "s.zarr")
    before = synthetic.digest(made)
    synthetic.make(source, made, retry_rejected=True)
    assert synthetic.digest(made) == before
