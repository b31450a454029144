"""Files of a source: folders, files and patterns, on this machine and by URL."""

from pathlib import Path

import pytest

from freqprep.errors import SourceError
from freqprep.sources.options import SourceOptions
from freqprep.sources.source_files import root_of, source_files
from freqprep.storage.paths import as_path

NAMES = ["a/x-000.tar", "a/x-001.tar", "b/x-002.TAR", "other.txt", ".hidden/x-003.tar"]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("source", "root"),
    [
        ("s3://b/data", "s3://b/data"),
        ("s3://b/data/x.tar", "s3://b/data"),
        ("s3://b/data/x-{0..3}.tar", "s3://b/data"),
        ("s3://b/{train,val}/x.tar", "s3://b/"),
        ("https://h/d/*.parquet", "https://h/d"),
        ("gone/x-{0..3}.tar", "gone"),
        ("x-*.tar", "."),
    ],
)
def test_paths_are_relative_to_the_folder_above_the_pattern(source, root):
    assert str(root_of(as_path(source))) == root


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("", NAMES[:3]),
        ("a", ["x-000.tar", "x-001.tar"]),
        ("a/x-001.tar", ["x-001.tar"]),
        ("{a,b}/x-*", NAMES[:3]),
        ("a/x-{000..001}.tar", ["x-000.tar", "x-001.tar"]),
        ("other.t?t", ["other.txt"]),
    ],
)
def test_folders_files_and_patterns(folder, pattern, names):
    found = source_files(folder / pattern, (".tar",))
    assert [file.path.decode() for file in found] == names
    root = root_of(folder / pattern)
    for file in found:
        status = (Path(root) / file.path.decode()).stat()
        assert (file.length, file.version) == (status.st_size, status.st_mtime_ns)


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    (tmp_path / "x[1]{2}.tar").write_bytes(b"1")
    (found,) = source_files(tmp_path / "x[1]{2}.tar", (".tar",))
    assert found.path == b"x[1]{2}.tar"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("b/*.parquet", "no .tar files in"),
        ("a/x-{000..002}.tar", "cannot read .*x-002.tar: No such file"),
        ("gone", "there is no .*gone"),
        ("x{1..1000001}", "more than 1000000 files"),
    ],
)
def test_what_is_not_there_is_named(folder, pattern, words):
    with pytest.raises(SourceError, match=words) as caught:
        source_files(folder / pattern, (".tar",))
    assert caught.value.remedy


def test_a_folder_of_a_web_server_cannot_be_listed():
    with pytest.raises(SourceError, match="cannot be listed"):
        source_files(as_path("http://127.0.0.1:9/d"), (".tar",))


def test_options_survive_a_move_of_the_source(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    options = SourceOptions(annotations=here / "a.json", label_column="kind")
    texts = options.texts(here)
    assert texts == {"annotations": "a.json", "label_column": "kind"}
    assert SourceOptions.of_texts(there, texts).annotations == there / "a.json"
    outside = SourceOptions(class_names=tmp_path / "names.txt").texts(here)
    assert SourceOptions.of_texts(there, outside).class_names == tmp_path / "names.txt"
    url = as_path("s3://b/set")
    inside = SourceOptions(images=as_path("s3://b/set/i")).texts(url)
    assert inside == {"images": "i"}
    assert SourceOptions.of_texts(as_path("s3://c/d"), inside).images == as_path("s3://c/d/i")
