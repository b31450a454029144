"""The manifest: exact bytes, one content id, and no path that leads outside."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.errors import CorruptStoreError, FormatVersionError, StoreError
from freqprep.storage.disk import FileEntry
from freqprep.storage.paths import hash_file, walk_files
from freqprep.store.manifest import Manifest, content_id, group_document, read_manifest

ATTRIBUTES = {"format": "freqprep", "format_version": "1.0"}
WHERE = Path("manifest.json")

part = st.text("abyzABYZ0189_.-", min_size=1, max_size=6).filter(lambda text: text.strip("."))
paths = st.lists(part, min_size=1, max_size=3).map("/".join)
entries = st.builds(FileEntry, st.integers(0, 2**60), st.text("0123456789abcdef", max_size=64))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.dictionaries(paths, entries, max_size=5))
def test_the_bytes_read_back_and_do_not_depend_on_the_order(files):
    data = Manifest(ATTRIBUTES, files).to_bytes()
    assert Manifest.from_bytes(data, WHERE) == Manifest(ATTRIBUTES, files)
    assert Manifest(ATTRIBUTES, dict(reversed(files.items()))).to_bytes() == data
    assert content_id(data) == hashlib.sha256(data).hexdigest()
    # A line a file, for people and for line-wise tools.
    assert data.count(b"\n  ") >= 0 and data.decode("ascii").count('": [') == len(files)


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "a//b", ""])
def test_a_path_that_leads_outside_is_refused(path):
    data = Manifest(ATTRIBUTES, {path: FileEntry(1, "0")}).to_bytes()
    with pytest.raises(CorruptStoreError, match="outside"):
        Manifest.from_bytes(data, WHERE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"attributes": {"format": "freqprep", "format_version": "1.0"}}',
        b'{"attributes": {"format": "freqprep", "format_version": "1.0"}, "files": []}',
        b'{"attributes": {"format": "freqprep", "format_version": "1.0"}, "files": {"a": []}}',
        b'{"attributes": {"format": "freqprep", "format_version": "1.0"}, "files": {"a": [1e400]}}',
        b'{"attributes": [], "files": {}}',
    ],
)
def test_what_is_not_a_manifest_is_refused(data):
    with pytest.raises(CorruptStoreError):
        Manifest.from_bytes(data, WHERE)


def test_a_manifest_of_another_format_is_refused():
    data = Manifest({"format": "freqprep", "format_version": "2.0"}, {}).to_bytes()
    with pytest.raises(FormatVersionError):
        Manifest.from_bytes(data, WHERE)


def test_a_split_lists_each_of_its_files_but_two(store):
    split = store / "train"
    manifest, identity = read_manifest(split)
    assert set(manifest.files) == set(walk_files(split)) - {"manifest.json", "zarr.json"}
    assert all(hash_file(split / name) == entry for name, entry in manifest.files.items())
    assert identity == hashlib.sha256((split / "manifest.json").read_bytes()).hexdigest()
    document = group_document(manifest, identity, split)
    assert (split / "zarr.json").read_bytes() == document


def test_a_folder_without_a_manifest_is_no_split(tmp_path):
    with pytest.raises(StoreError, match="not a finished split"):
        read_manifest(tmp_path)


def test_a_group_with_an_unreadable_array_is_refused(store, tmp_path):
    manifest, identity = read_manifest(store / "train")
    with pytest.raises(CorruptStoreError, match=r"zarr\.json"):
        group_document(manifest, identity, tmp_path)
