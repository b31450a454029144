"""Class folders: which entries become rows, in which order, under which label."""

import os
import socket
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freqprep.errors import SourceError
from freqprep.sources.file_table import WHOLE_FILE
from freqprep.sources.imagefolder import discover
from freqprep.sources.listing import Discovered, Listing

JPEG = b"\xff\xd8\xff\xe0 not decoded here"


def put(root: Path, path: bytes | str, content: bytes = JPEG) -> None:
    full = os.path.join(os.fsencode(root), os.fsencode(path))
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(content)


def keys(listing: Listing) -> list[bytes]:
    return [listing.keys.bytes_at(row) for row in range(len(listing))]


def only(found: Discovered) -> Listing:
    (listing,) = found.listings.values()
    return listing


names = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: not name.startswith(b".") and b"/" not in name and b"\0" not in name)
    .filter(lambda name: name.lower() not in (b"thumbs.db", b"desktop.ini"))
)
files = st.tuples(
    names.map(lambda name: b"c" + name),
    st.lists(names.map(lambda name: b"d" + name), max_size=2),
    names.map(lambda name: b"f" + name),
    st.sampled_from([b".jpg", b".JPEG", b".png", b".Webp"]),
)


@settings(max_examples=40, deadline=None)
@given(st.sets(files.map(lambda f: (f[0], b"/".join([*f[1], f[2] + f[3]]))), min_size=1))
def test_rows_are_the_files_sorted_by_class_and_key_bytes(wanted):
    wanted |= {(b"c1", b"f.jpg"), (b"c2", b"f.jpg")}  # a class alone with folders is a wrapper
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for class_name, inner in wanted:
            put(root, class_name + b"/" + inner)
        found = discover(root, None)
        listing = only(found)
        expected = sorted((c, c + b"/" + inner) for c, inner in wanted)
        assert keys(listing) == [key for _, key in expected]
        classes = sorted({c for c, _ in wanted})
        assert [classes[label] for label in listing.labels] == [c for c, _ in expected]
        assert len(found.classes.ids) == len(classes)
        assert keys(listing) == [listing.files.paths.bytes_at(i) for i in range(len(listing))]
        assert (listing.files.length == len(JPEG)).all()
        assert (listing.files.offset == WHOLE_FILE).all()


def test_columns_have_the_promised_types(tmp_path):
    put(tmp_path, "a/1.jpg")
    listing = only(discover(tmp_path, None))
    assert listing.labels.dtype == np.int64
    for column in (listing.files.offset, listing.files.length, listing.files.version):
        assert column.dtype == np.int64 and column.shape == (1,)
    assert listing.files.version[0] == os.stat(tmp_path / "a/1.jpg").st_mtime_ns


def test_splits_share_the_union_of_their_classes(tmp_path):
    for path in ["train/a/1.jpg", "train/c/2.jpg", "Validation/b/3.jpg", "notes/x/4.jpg"]:
        put(tmp_path, path)
    (tmp_path / "train" / "empty").mkdir()
    put(tmp_path, "README.txt")
    found = discover(tmp_path, None)
    assert found.classes.ids == found.classes.names == ("a", "b", "c", "empty")
    train, val = found.listings["train"], found.listings["val"]
    assert (train.source_name, val.source_name) == ("train", "Validation")
    assert train.labels.tolist() == [0, 2] and val.labels.tolist() == [1]
    assert keys(val) == [b"b/3.jpg"]
    assert val.files.paths.bytes_at(0) == b"Validation/b/3.jpg"
    for listing in (train, val):
        assert listing.ignored == {
            "folder that is not a split (notes)": 1,
            "image outside any class folder": 1,
        }


@pytest.mark.parametrize("wanted", ["val", "valid", "validation", "Validation"])
def test_a_split_is_found_by_either_name_and_keeps_all_classes(tmp_path, wanted):
    put(tmp_path, "train/a/1.jpg")
    put(tmp_path, "Validation/b/2.jpg")
    found = discover(tmp_path, wanted)
    assert list(found.listings) == ["val"]
    assert found.classes.ids == ("a", "b")


def test_an_unknown_split_is_an_error_that_lists_those_there(tmp_path):
    put(tmp_path, "train/a/1.jpg")
    put(tmp_path, "valid/a/1.jpg")
    with pytest.raises(SourceError, match=r"'test'.*train, valid"):
        discover(tmp_path, "test")


def test_two_folders_of_one_split_are_an_error_unless_one_is_chosen(tmp_path):
    put(tmp_path, "val/a/1.jpg")
    put(tmp_path, "valid/b/1.jpg")
    with pytest.raises(SourceError, match=r"'val'.*'valid'"):
        discover(tmp_path, None)
    found = discover(tmp_path, "valid")
    assert found.listings["val"].source_name == "valid"
    assert found.classes.ids == ("a", "b")


@pytest.mark.parametrize(("wanted", "name"), [(None, "train"), ("val2017", "val"), ("my", "my")])
def test_a_source_without_splits_takes_the_given_name(tmp_path, wanted, name):
    put(tmp_path, "a/1.jpg")
    assert list(discover(tmp_path, wanted).listings) == [name]


def test_a_class_called_train_is_no_split(tmp_path):
    put(tmp_path, "train/1.jpg")
    put(tmp_path, "bus/1.jpg")
    assert discover(tmp_path, None).classes.ids == ("bus", "train")


def test_names_are_kept_to_the_byte(tmp_path):
    composed = unicodedata.normalize("NFC", "é").encode()
    decomposed = unicodedata.normalize("NFD", "é").encode()
    odd = [composed, decomposed, b"\xff\xfe", b"two\nlines", b" space ", b'it\'s "x"']
    for name in odd:
        put(tmp_path, name + b"/" + name + b".jpg")
    found = discover(tmp_path, None)
    assert keys(only(found)) == [name + b"/" + name + b".jpg" for name in sorted(odd)]
    assert r"\xff\xfe" in found.classes.ids


def test_class_folders_that_read_the_same_are_an_error(tmp_path):
    put(tmp_path, b"\xff/1.jpg")
    put(tmp_path, rb"\xff/1.jpg")
    with pytest.raises(SourceError, match="same name as text"):
        discover(tmp_path, None)


def test_whatever_is_named_like_an_image_is_a_row(tmp_path, monkeypatch):
    put(tmp_path, "a/empty.jpg", b"")
    put(tmp_path, "a/dir.png/inside.jpg")
    os.mkfifo(tmp_path / "a/fifo.JPG")
    (tmp_path / "a/broken.gif").symlink_to("nowhere")
    (tmp_path / "a/self.webp").symlink_to("self.webp")
    monkeypatch.chdir(tmp_path / "a")  # a socket's address has room for about 100 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.bmp")
        listing = only(discover(tmp_path, None))
    assert keys(listing) == sorted(
        b"a/" + name
        for name in [
            b"broken.gif",
            b"dir.png",
            b"dir.png/inside.jpg",
            b"empty.jpg",
            b"fifo.JPG",
            b"self.webp",
            b"socket.bmp",
        ]
    )
    regular = listing.files.version != 0
    assert [keys(listing)[row] for row in np.flatnonzero(regular)] == [
        b"a/dir.png/inside.jpg",
        b"a/empty.jpg",
    ]
    assert listing.ignored == {}


HEADS = {
    "jpeg": b"\xff\xd8\xff\xdb",
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF89a",
    "tiff_le": b"II*\0",
    "tiff_be": b"MM\0*",
    "bmp": b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0",
    "webp": b"RIFF\x10\0\0\0WEBPVP8 ",
}


def test_content_decides_where_the_name_does_not(tmp_path):
    for name, head in HEADS.items():
        put(tmp_path, f"a/{name}", head)
        put(tmp_path, f"a/{name}.dat", head)
    put(tmp_path, "a/BMW.txt", b"BMW is a maker of cars")
    put(tmp_path, "a/sound.wav", b"RIFF\x10\0\0\0WAVEfmt ")
    put(tmp_path, "a/nothing", b"")
    put(tmp_path, "a/part.001", b"x")
    os.mkfifo(tmp_path / "a/pipe")
    (tmp_path / "a/gone").symlink_to("nowhere")
    listing = only(discover(tmp_path, None))
    expected = [f"a/{name}{end}".encode() for name in HEADS for end in ("", ".dat")]
    assert keys(listing) == sorted(expected)
    assert listing.ignored == {
        "broken link": 1,
        "not an image (.txt)": 1,
        "not an image (.wav)": 1,
        "not an image (FIFO)": 1,
        "not an image (no known extension)": 2,
    }


def test_hidden_and_system_files_are_skipped_and_counted(tmp_path):
    put(tmp_path, "a/1.jpg")
    for name in [".2.jpg", "._1.jpg", "Thumbs.db", "desktop.ini", ".cache/3.jpg"]:
        put(tmp_path, f"a/{name}")
    put(tmp_path, ".git/4.jpg")
    listing = only(discover(tmp_path, None))
    assert keys(listing) == [b"a/1.jpg"]
    assert listing.ignored == {"hidden or system file": 6}


def test_links_are_followed_but_never_round_in_a_loop(tmp_path):
    put(tmp_path, "data/a/1.jpg")
    put(tmp_path, "elsewhere/2.jpg")
    a = tmp_path / "data/a"
    (a / "linked").symlink_to(tmp_path / "elsewhere")
    (a / "up").symlink_to(tmp_path / "data")
    (a / "here").symlink_to(".")
    (tmp_path / "elsewhere/back").symlink_to(a)
    (tmp_path / "data/loop").symlink_to(".")
    listing = only(discover(tmp_path / "data", None))
    assert keys(listing) == [b"a/1.jpg", b"a/linked/2.jpg"]
    assert listing.ignored == {"symlink loop": 4}


def test_a_folder_reached_by_two_links_is_listed_twice(tmp_path):
    put(tmp_path, "store/1.jpg")
    (tmp_path / "data").mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "store")
    assert keys(only(discover(tmp_path / "data", None))) == [b"a/1.jpg", b"b/1.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_listed_is_an_error_and_what_cannot_be_read_a_row(tmp_path):
    put(tmp_path, "a/secret", b"text")
    (tmp_path / "a/secret").chmod(0)
    assert keys(only(discover(tmp_path, None))) == [b"a/secret"]
    (tmp_path / "a").chmod(0)
    with pytest.raises(SourceError, match="cannot list"):
        discover(tmp_path, None)


def test_nothing_usable_is_an_error_that_says_where_it_looked(tmp_path):
    with pytest.raises(SourceError, match="absent is not a folder"):
        discover(tmp_path / "absent", None)
    put(tmp_path, "flat.jpg")
    with pytest.raises(SourceError, match="not a folder"):
        discover(tmp_path / "flat.jpg", None)
    with pytest.raises(SourceError, match=r"no class folders.* 1 other"):
        discover(tmp_path, None)
    put(tmp_path, "a/notes.txt", b"text")
    with pytest.raises(SourceError, match="no image"):
        discover(tmp_path, None)
