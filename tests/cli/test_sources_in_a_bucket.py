"""Commands on a source in a bucket print what they print of the folder."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def url(source, slow_server) -> str:
    return slow_server.load(source, "photos")


@pytest.fixture
def both(call, source, url):
    """Run a command on both sources; SOURCE stands for them."""

    def run(*words: object, code: int = 0) -> list[str]:
        printed = []
        for place in (str(source), url):
            found, out, err = call(*(str(word).replace("SOURCE", place) for word in words))
            assert found == code, err
            printed.append((out if code == 0 else err).replace(place, "SOURCE"))
        return printed

    return run


def test_an_estimate(both, tmp_path):
    one, other = both(
        "convert", "imagefolder", "SOURCE", tmp_path / "a.zarr", "--dry-run", "--json"
    )
    found = [json.loads(text)["splits"] for text in (one, other)]
    assert {**found[0]["train"], "minutes": 0} == {**found[1]["train"], "minutes": 0}


def test_a_check_against_the_source(both, store):
    one, other = both("verify", store, "--source", "SOURCE", "--jobs", "1")
    assert one == other and "32 images compared" not in one and "images compared" in one


def test_statistics_of_the_source(both, store):
    words = ["stats", store, "--split", "train", "--by", "best", "--budget", "4KB/image"]
    one, other = both(*words, "--source", "SOURCE", "--jobs", "1")
    assert one == other


def test_another_source_is_refused(both, store):
    one, other = both("verify", store, "--source", "SOURCE/train", "--jobs", "1", code=1)
    assert one == other and "SOURCE/train lists" in one


def test_a_whole_bucket_is_a_source(call, source, bucket, tmp_path):
    for path in sorted((source / "val").rglob("*.jpg")):
        bucket.put(path.relative_to(source).as_posix(), path.read_bytes())
    words = ["convert", "imagefolder", bucket.url, tmp_path / "a.zarr", "--dry-run", "--json"]
    code, out, err = call(*words)
    assert code == 0, err
    assert json.loads(out)["splits"]["val"]["images"] == 24


def test_what_is_refused_is_named(call, store, tmp_path: Path):
    for source, text in (
        ("https://me:secret@host/photos", "https URL with a user or password before host"),
        ("https://127.0.0.1:1/photos", "folders of a web server cannot be listed"),
        ("ftp://host/photos", "nothing is read by ftp://"),
    ):
        code, out, err = call("convert", "imagefolder", source, tmp_path / "a.zarr")
        assert code in (1, 2) and not out and text in " ".join(err.split()), err
        assert "secret" not in err
