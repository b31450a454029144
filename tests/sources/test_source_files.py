"""Files of a source: folders, files and patterns, on this machine and by URL."""

import subprocess
from pathlib import Path

import pytest
from slow_server import Fault

from freqprep.errors import SourceError, UsageError
from freqprep.sources.brace_patterns import expanded
from freqprep.sources.options import SourceOptions
from freqprep.sources.source_files import root_of, source_files
from freqprep.sources.tree import source_tree
from freqprep.storage.paths import as_path, as_source

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
        ("https://h/data/x.tar", "https://h/data"),
        ("https://h/d/x-{0..3}.tar", "https://h/d"),
        ("https://h/{train,val}/x.tar", "https://h/"),
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
    "pattern",
    ["a", "{a,b}{0..9}", "{a-{0..9},b-{00..04..2}}", "{3}x{a..e..2}", r"\{a,{b,c}", "a,b{c,d}"],
)
def test_the_names_of_braces_are_those_of_the_shell(pattern):
    shell = subprocess.run(["bash", "-c", f"echo {pattern}"], capture_output=True, check=True)
    assert expanded(pattern, "") == shell.stdout.decode().split()


def test_many_names_are_no_more_than_those_of_all_alternatives():
    assert len(expanded("{a-{0000..1023},b-{0000..1023},c-{000..999}}", "")) == 3048


def test_linked_folders_are_entered_and_loops_of_them_are_not(tmp_path):
    for name in ("here/a.tar", "there/b.tar"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "here/more").symlink_to(tmp_path / "there")
    (tmp_path / "there/up").symlink_to(tmp_path / "here")
    found = source_files(tmp_path / "here", (".tar",))
    assert [file.path for file in found] == [b"a.tar", b"more/b.tar"]


@pytest.mark.parametrize("prefix", ["od[d]", "{a,b}", "what?", "all*", "odd.tar"])
def test_a_prefix_that_exists_is_one_whatever_its_name(bucket, prefix):
    bucket.put(f"{prefix}/x.tar", b"x")
    bucket.put("d/odd/y.tar", b"x")
    source = as_path(f"{bucket.url}/{prefix}")
    assert [file.path for file in source_files(source, (".tar",))] == [b"x.tar"]
    assert root_of(source) == source
    assert source_tree(source).stat(b"x.tar") is not None


def test_a_pattern_lists_only_the_folders_that_it_names(bucket):
    keys = ["a/x-0.tar", "a/x-1.tar", "b/x-2.tar", "b/.x-3.tar", "b/deep/x-4.tar", "x-5.tar"]
    for key in keys:
        bucket.put(key, b"x")
    patterns = {"*.tar": keys[5:], "?/*.tar": keys[:3], "{a,b}/x-*": keys[:3], "b/[!z]*": keys[2:3]}
    for pattern, expected in patterns.items():
        source = as_path(f"{bucket.url}/{pattern}")
        bucket.requests.clear()
        found = [file.path.decode() for file in source_files(source, (".tar",))]
        whole = [line for line in bucket.requests if "delimiter" not in line]
        assert len(whole) == 1  # for objects below the pattern taken literally
        root = root_of(source)
        assert [(root / path).key for path in found] == expected
    with pytest.raises(SourceError, match=r"no \.tar files in"):
        source_files(as_path(f"{bucket.url}/gone/*.tar"), (".tar", ".tgz"))


def test_files_of_a_bucket_that_may_not_be_listed_are_named(tmp_path, slow_server):
    (tmp_path / "x-0.tar").write_bytes(b"x")
    slow_server.load(tmp_path, "unlisted")
    slow_server.behave(Fault("403", methods=("GET",), key="^$"))
    for name in ("x-{0..0}.tar", "x-0.tar"):
        (found,) = source_files(as_path(f"s3://slow/unlisted/{name}"), (".tar",))
        assert found.path == b"x-0.tar"


@pytest.mark.parametrize("address", ["d/x.tar?X-Sig=hidden", "d/x.tar#hidden"])
def test_signed_addresses_of_sources_are_refused_without_their_signature(address):
    with pytest.raises(UsageError, match=r"signed URLs are not supported") as caught:
        as_source(f"https://h/{address}")
    assert "hidden" not in str(caught.value)


def test_patterns_of_a_web_server_are_shown_as_they_were_written():
    text = "https://h/d%20e/x-{000..002}.tar"
    assert str(as_source(text)) == text
    assert as_source(str(as_source(text))) == as_source(text)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("b/*.parquet", "no .tar files in"),
        ("a/x-{000..002}.tar", "cannot read .*x-002.tar: No such file"),
        ("gone", "there is no .*gone"),
        ("x{1..1000001}", "more than 1000000 files"),
        ("x{0..99999999999}", r"99999999999\} names more than 1000000 files"),
        ("x{0..%s}" % ("9" * 4000), "more than 1000000 files"),
        ("{a,b}" * 24, "more than 1000000 files"),
        ("{x,{0..999}{0..999}}{a..z}", "more than 1000000 files"),
        ("{{0..99999999999},a}{", "more than 1000000 files"),
        ("x-{000..002.tar", r"x-\{000\.\.002\.tar: the braces of the pattern are not balanced"),
        ("{" * 1500 + "}" * 1500, "nested too deeply"),
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
