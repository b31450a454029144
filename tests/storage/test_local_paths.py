"""Places of this machine: ``~`` is the home folder wherever a path is taken."""

from pathlib import Path

import pytest

import freqprep
from freqprep.convert.request import Request
from freqprep.errors import StoreError
from freqprep.importance.request import StatsRequest
from freqprep.pack.request import PackRequest
from freqprep.storage.paths import as_path, local_path


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("kind", [str, Path])
def test_only_a_first_part_of_its_own_is_the_home(home, kind):
    for given, expected in (
        ("~", home),
        ("~/a/b", home / "a/b"),
        ("~other/a", Path("~other/a")),
        ("a/~/b", Path("a/~/b")),
        ("a~", Path("a~")),
        ("/~/a", Path("/~/a")),
    ):
        assert local_path(kind(given)) == as_path(kind(given)) == expected


@pytest.mark.parametrize("kind", [str, Path])
def test_requests_take_it(home, kind):
    request = Request("imagefolder", kind("~/photos"), kind("~/a.zarr"))
    assert (request.source, request.store) == (home / "photos", home / "a.zarr")
    assert PackRequest(kind("~/a.zarr"), kind("~/b.zarr")).target == home / "b.zarr"
    assert StatsRequest(24, scores=kind("~/s.json")).scores == home / "s.json"
    with pytest.raises(StoreError, match=str(home / "none.zarr")):
        freqprep.open_store(kind("~/none.zarr"))
