import pickle
from pathlib import Path

import pytest

from freqprep.errors import (
    BucketNotFoundError,
    CorruptStoreError,
    ObjectChangedError,
    UsageError,
)
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import as_path, folder_names, hash_file, walk_files
from freqprep.storage.ranged_file import open_ranged


@pytest.fixture
def place(bucket):
    return as_path(f"{bucket.url}/folder")


@pytest.mark.parametrize(
    "text, root, key",
    [
        ("s3://bucket/a/b", "s3://bucket", "a/b"),
        ("S3://bucket/a/b/", "s3://bucket", "a/b"),
        ("gs://bucket/a b%20", "gs://bucket", "a b%20"),
        ("https://host:8080/a%20b", "https://host:8080", "a b"),
        ("http://host/", "http://host", ""),
    ],
)
def test_a_url_is_a_place_in_a_bucket_and_its_text_names_it_again(text, root, key):
    path = as_path(text)
    assert path == ObjectPath(root, key)
    assert as_path(str(path)) == path == pickle.loads(pickle.dumps(path))
    assert path / "x/y" == as_path(f"{text.rstrip('/')}/x/y")
    assert (path / "x").parent == path


@pytest.mark.parametrize("text", ["relative", "/absolute/a:b", "file:///absolute/a%3Ab", "C:/x"])
def test_other_texts_are_paths(text):
    assert as_path(text) == Path(text.removeprefix("file://").replace("%3A", ":"))


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket",
        "s3:/bucket/key",
        "s3:///key",
        "ftp://host/x",
        "file://other/x",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "https://host/x?signature=1",
        "s3://bucket/\udce9",
        Path("s3://bucket/x"),
    ],
)
def test_what_names_no_store_is_refused(text):
    with pytest.raises(UsageError):
        as_path(text)


def test_no_function_for_files_takes_a_place_in_a_bucket():
    with pytest.raises(TypeError):
        Path(as_path("s3://bucket/x"))


def test_what_was_written_is_read_and_listed(place):
    content = {"a": b"", "b/c d+ü%.bin": bytes(range(256)) * 100, "b/large": b"0123456789" * 2**21}
    entries = {key: (place / key).write([data[:7], data[7:]]) for key, data in content.items()}
    assert {key: (place / key).read_bytes() for key in content} == content
    assert dict(place.files()) == {key: len(data) for key, data in content.items()}
    assert sorted(walk_files(place)) == sorted(content)
    assert {key: hash_file(place / key) for key in content} == entries
    assert folder_names(place) == place.folders() == ["b"]
    assert (place / "b").is_dir() and not (place / "b").is_file() and (place / "a").is_file()
    place.delete_below()
    assert not place.is_dir()
    (place / "a").delete()
    with pytest.raises(FileNotFoundError, match=f"{place}/a"):
        (place / "a").read_bytes()


def test_only_one_creates_and_only_the_last_reader_replaces(place):
    path = place / "lease"
    first = path.create(b"one")
    with pytest.raises(FileExistsError):
        path.create(b"two")
    second = path.replace(b"two", first)
    with pytest.raises(ObjectChangedError):
        path.replace(b"three", first)
    assert path.read_with_etag() == (b"two", second)
    path.delete()
    with pytest.raises(ObjectChangedError):
        path.replace(b"three", second)


def test_a_request_sent_again_meets_its_own_object(place):
    path = place / "again"
    tag = path.create(b"one")
    assert path.create(b"one") == tag
    assert path.replace(b"one", {"e_tag": "of the version before"}) == tag


def test_runs_are_those_of_the_content(place, tmp_path):
    data = bytes(range(256)) * 4096
    runs = [(5, 10), (15, 1), (500_000, 70_000), (len(data) - 3, 3)]
    (tmp_path / "x").write_bytes(data)
    (place / "x").write([data])
    for path in (tmp_path / "x", place / "x"):
        file = open_ranged(path, len(data))
        assert [bytes(run) for run in file.read_runs(runs)] == [data[a : a + n] for a, n in runs]
        assert [bytes(run) for run in file.read_runs(runs[2:3])] == [data[500_000:570_000]]
        file.close()
    for path in (tmp_path / "x", place / "x"):
        with pytest.raises(CorruptStoreError, match=f"{path} is damaged"):
            list(open_ranged(path, len(data) + 1).read_runs([(len(data) - 3, 4)]))
    with pytest.raises(CorruptStoreError):
        list(open_ranged(place / "x", len(data)).read_runs([(0, 1), (len(data) - 3, 4)]))
    with pytest.raises(FileNotFoundError):
        list(open_ranged(place / "absent", 10).read_runs([(0, 4)]))


def test_a_bucket_that_does_not_exist_is_named(place):
    path = as_path("s3://other-bucket/folder")
    for attempt in (path.read_bytes, lambda: path.write([b"x"]), lambda: list(path.files())):
        with pytest.raises(BucketNotFoundError, match="s3://other-bucket"):
            attempt()
