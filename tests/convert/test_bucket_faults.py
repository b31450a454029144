"""Conversions into a bucket whose server is overloaded, refuses, or cannot hold a lock."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import synthetic
from slow_server import Fault

from freqprep.errors import AccessDeniedError, ObjectStoreError
from freqprep.storage import object_client
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import as_path


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """As many images as fill 3 shards."""
    return synthetic.image_folder(tmp_path_factory.mktemp("many"), {"train": 300}, corrupt=5)


@pytest.fixture(scope="module")
def expected(many, tmp_path_factory) -> dict[str, str]:
    """The hash of each file of a local store."""
    store = synthetic.make(many, tmp_path_factory.mktemp("whole") / "out.zarr")
    return {name: hashlib.md5(data).hexdigest() for name, data in contents(store)}


def contents(store: Path) -> Iterator[tuple[str, bytes]]:
    yield from synthetic.contents(store).items()


@pytest.fixture
def place(slow_server, monkeypatch) -> Iterator[ObjectPath]:
    """A store in the bucket of `slow_server`, by a client that does not wait for long."""
    monkeypatch.setitem(object_client._LIMITS, "read_timeout", timedelta(seconds=1))
    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=9)}
    monkeypatch.setitem(object_client._RETRIES, "backoff", {**quick, "base": 2})
    object_client._opened.cache_clear()
    path = as_path("s3://slow/faults/out.zarr")
    yield path
    slow_server.behave()
    path.parent.delete_below()
    object_client._opened.cache_clear()


def stored(slow_server) -> dict[str, str]:
    prefix = "faults/out.zarr/"
    objects = slow_server.objects().items()
    return {key.removeprefix(prefix): md5 for key, md5 in objects if key.startswith(prefix)}


@pytest.mark.parametrize("made", ["new", "existing"])
def test_a_server_that_ignores_conditions_is_refused_and_left_alone(many, place, slow_server, made):
    if made == "existing":
        synthetic.make(many, place)
    before = slow_server.objects()
    slow_server.behave(conditional=False)
    with pytest.raises(ObjectStoreError, match=r"ignores If-None-Match.*conditional puts"):
        synthetic.make(many, place, overwrite=True)
    assert slow_server.objects() == before


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("503", every=5)],
        [Fault("500", every=7, methods=("PUT", "DELETE"))],
        [Fault("cut", every=5, methods=("GET",))],
        [Fault("stall", times=2, methods=("GET",)), Fault("503", every=9)],
        [Fault("stall", times=1, methods=("PUT",), key="begun|journal-|manifest.json")],
        [Fault("cut", every=4, methods=("PUT",))],
    ],
    ids=lambda faults: "-".join(fault.what for fault in faults),
)
def test_what_passes_is_waited_for(many, expected, place, slow_server, faults):
    slow_server.behave(*faults)
    synthetic.make(many, place)
    slow_server.behave()
    assert stored(slow_server) == expected


def test_a_large_body_may_take_longer_than_an_answer(place, slow_server):
    data = bytes(2**21 + 1)
    slow_server.behave(delay=1.3)  # of answers, 1 second is waited for
    tag = (place / "large").create(data)
    slow_server.behave()
    assert (place / "large").read_with_etag() == (data, tag)


SHARD = "coefficients/c/1/"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("503", key=SHARD, methods=("PUT",)), ObjectStoreError),
        (Fault("403", key=SHARD, methods=("PUT",)), AccessDeniedError),
        (Fault("503", key="journal-"), ObjectStoreError),
        (Fault("503", key="valid/zarr.json", methods=("PUT",)), ObjectStoreError),
        (Fault("503", key="manifest.json", methods=("PUT",)), ObjectStoreError),
    ],
)
def test_what_stays_is_named_and_resumable(many, expected, place, slow_server, fault, error):
    slow_server.behave(fault)
    with pytest.raises(error, match=fault.key) as raised:
        synthetic.make(many, place)
    assert raised.value.remedy
    slow_server.behave()
    assert "train/manifest.json" not in stored(slow_server)
    synthetic.make(many, place, resume=True)
    assert stored(slow_server) == expected
