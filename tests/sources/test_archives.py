"""Tar archives: their members are listed where they are, and no damage goes unseen."""

import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagenet_forms import (
    as_archives,
    contents,
    expected_rows,
    jpeg,
    keys,
    put,
    rows,
    tar,
)

from freqprep.errors import SourceError
from freqprep.sources.imagenet import discover


def test_other_members_of_archives_are_counted(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind in [("folder", tarfile.DIRTYPE), ("link.JPEG", tarfile.SYMTYPE)]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a.JPEG"
            archive.addfile(info)
        for name, content in [
            ("a.JPEG", b"first"),
            ("._a.JPEG", b"x"),
            ("notes.txt", b"x"),
            ("unnamed", jpeg(1)),
            ("a.JPEG", b"second"),
        ]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    put(tmp_path / "train/n01440764.tar", buffer.getvalue())
    listing = discover(tmp_path, None).listings["train"]
    assert keys(listing) == [b"n01440764/a.JPEG", b"n01440764/unnamed"]
    assert contents(tmp_path, listing) == [b"second", jpeg(1)]  # as unpacking would leave it
    assert listing.ignored == {
        "hidden or system file": 1,
        "not a regular file in an archive": 1,
        "not an image (.txt)": 1,
    }


def test_member_names_are_kept_to_the_byte(tmp_path):
    names = [b"\xff.JPEG", "é.JPEG".encode(), b"x" * 150 + b".JPEG", b"two\nlines.JPEG"]
    files = {os.fsdecode(name): jpeg(1) for name in names}
    put(tmp_path / "train/n01440764.tar", tar(files))
    found = keys(discover(tmp_path, None).listings["train"])
    assert found == sorted(b"n01440764/" + name for name in names)


def damaged(content: bytes, kind: str) -> bytes:
    if kind == "member cut off":
        return content[:700]
    if kind == "header cut off":
        return content[: 1024 * 2 + 100]
    if kind == "no end":
        return content[: 1024 * 2]
    second = bytearray(content)
    second[1024 + 150] ^= 0xFF
    return bytes(second)


DAMAGES = ["member cut off", "header cut off", "no end", "header changed"]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_archive_is_an_error_that_names_it(tmp_path, kind):
    whole = tar({f"{n}.JPEG": b"a" * 400 for n in range(4)})
    put(tmp_path / "train/n01440764.tar", damaged(whole, kind))
    with pytest.raises(SourceError, match=r"n01440764\.tar.*download it again"):
        discover(tmp_path, None)


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_archive_inside_an_archive_is_an_error(tmp_path, kind):
    whole = tar({f"{n}.JPEG": b"a" * 400 for n in range(4)})
    inner = {"n01440764.tar": damaged(whole, kind), "n01443537.tar": whole}
    put(tmp_path / "ILSVRC2012_img_train.tar", tar(inner))
    with pytest.raises(SourceError, match=r"ILSVRC2012_img_train\.tar.*download it again"):
        discover(tmp_path, None)


@given(st.data())
def test_no_cut_of_an_archive_loses_images_in_silence(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("cut")
    as_archives(root)
    path = root / data.draw(st.sampled_from(["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"]))
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        assert rows(root, discover(root, None)) == expected_rows()
    except SourceError as error:
        assert path.name in str(error)
