"""Reading image bytes: what was listed, or a named defect, and never a hang."""

import errno
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freqprep.errors import ImageDefect, SourceChangedError
from freqprep.sources import WHOLE_FILE, read_image_bytes
from freqprep.sources.files import shown
from freqprep.sources.listing import choose_splits, normalise_split
from freqprep.sources.tree import LocalTree, file_table

LIMIT = 1000


def read_listed(root: Path, name: bytes, limit: int = LIMIT) -> bytes:
    """List a file, then read it as listed."""
    table = file_table(LocalTree(root), [name])
    return read_image_bytes(
        root, name, WHOLE_FILE, int(table.length[0]), int(table.version[0]), limit
    )


def test_a_listed_file_is_read_whole(tmp_path):
    (tmp_path / "x").write_bytes(bytes(range(200)))
    assert read_listed(tmp_path, b"x") == bytes(range(200))


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_run_of_an_archive_is_read(tmp_path_factory, content, data):
    root = tmp_path_factory.mktemp("archive")
    (root / "t.tar").write_bytes(content)
    start = data.draw(st.integers(0, len(content) - 1))
    stop = data.draw(st.integers(start + 1, len(content)))
    version = os.stat(root / "t.tar").st_mtime_ns
    read = read_image_bytes(root, b"t.tar", start, stop - start, version, LIMIT)
    assert read == content[start:stop]
    with pytest.raises(SourceChangedError, match=r"t\.tar"):
        read_image_bytes(root, b"t.tar", start, len(content) - start + 1, version, LIMIT)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM])
@pytest.mark.parametrize("call", ["open", "pread"])
def test_trouble_of_the_machine_is_no_defect_of_a_file(tmp_path, monkeypatch, code, call):
    """It stops the run, which can be resumed, instead of rejecting every image from then on."""
    (tmp_path / "x").write_bytes(bytes(100))
    assert read_listed(tmp_path, b"x")

    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError) as error:
        read_image_bytes(tmp_path, b"x", WHOLE_FILE, 100, version_of(tmp_path / "x"), LIMIT)
    assert error.value.errno == code


def version_of(path: Path) -> int:
    return os.stat(path).st_mtime_ns


def make_directory(path: Path) -> None:
    path.mkdir()


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def make_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def make_under_a_file(path: Path) -> None:
    path.parent.joinpath("file").write_bytes(b"x")
    path.symlink_to("file/x")


@pytest.mark.parametrize(
    ("make", "reason", "detail"),
    [
        (make_directory, "not_a_file", "is a directory"),
        (os.mkfifo, "not_a_file", "is a FIFO"),
        (make_link_to_fifo, "not_a_file", "is a FIFO"),
        (make_socket, "not_a_file", "is a socket"),
        (make_broken_link, "missing", "no such file"),
        (make_under_a_file, "missing", "no such file"),
        (make_loop, "unreadable", "symbolic links"),
        (Path.touch, "empty", "0 bytes"),
    ],
)
def test_what_is_no_file_is_a_defect(tmp_path, monkeypatch, make, reason, detail):
    monkeypatch.chdir(tmp_path)  # a socket's address has room for about 100 bytes only
    make(tmp_path / "x")
    with pytest.raises(ImageDefect, match=detail) as caught:
        read_listed(tmp_path, b"x")
    assert caught.value.reason == reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_defect(tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "x").chmod(0)
    with pytest.raises(ImageDefect) as caught:
        read_listed(tmp_path, b"x")
    assert caught.value.reason == "unreadable"


def test_the_limit_is_the_longest_that_is_read(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10))
    assert len(read_listed(tmp_path, b"x", limit=10)) == 10
    with pytest.raises(ImageDefect, match="10 bytes") as caught:
        read_listed(tmp_path, b"x", limit=9)
    assert caught.value.reason == "too_large"


def test_an_empty_file_of_1970_is_empty_not_changed(tmp_path):
    (tmp_path / "x").touch()
    os.utime(tmp_path / "x", ns=(0, 0))
    with pytest.raises(ImageDefect) as caught:
        read_listed(tmp_path, b"x")
    assert caught.value.reason == "empty"


def rewrite(path: Path) -> None:
    path.write_bytes(b"other")
    os.utime(path, ns=(5, 5))


def lengthen(path: Path) -> None:
    version = os.stat(path).st_mtime_ns
    path.write_bytes(b"longer than it was")
    os.utime(path, ns=(version, version))


def remove(path: Path) -> None:
    path.unlink()


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [rewrite, lengthen, remove, replace_by_fifo])
def test_a_file_that_changed_since_it_was_listed_stops_the_run(tmp_path, change):
    path = tmp_path / "x"
    path.write_bytes(b"first")
    status = os.stat(path)
    change(path)
    with pytest.raises(SourceChangedError, match=r"x is not what .*--overwrite"):
        read_image_bytes(tmp_path, b"x", WHOLE_FILE, 5, status.st_mtime_ns, LIMIT)


def test_a_file_that_was_absent_when_listed_and_is_there_now_stops_the_run(tmp_path):
    (tmp_path / "x").write_bytes(b"new")
    with pytest.raises(SourceChangedError):
        read_image_bytes(tmp_path, b"x", WHOLE_FILE, 0, 0, LIMIT)


def test_names_that_are_not_text_can_be_read(tmp_path):
    name = b"\xff\n.jpg"
    with open(os.path.join(bytes(tmp_path), name), "wb") as file:
        file.write(b"abc")
    assert read_listed(tmp_path, name) == b"abc"


@given(st.binary())
def test_a_path_in_a_message_is_one_printable_line(path):
    assert shown(path).isprintable()


@given(st.lists(st.sampled_from(["train", "val", "valid", "Train", "test2017", "my"]), min_size=1))
def test_chosen_splits_pair_each_store_name_with_one_source_name(found):
    for wanted in found:
        assert choose_splits(found, wanted, Path("x")) == {normalise_split(wanted): wanted}
