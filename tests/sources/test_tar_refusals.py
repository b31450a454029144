"""Tar shards that cannot be converted: each is refused by name, with what to do."""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zlib
from pathlib import Path

import pytest
from doc_tables import rows
from imagenet_forms import jpeg, put
from tar_shards import put_tar, tar_of

from freqprep.errors import FreqprepError, SourceChangedError, SourceError
from freqprep.sources import read_image_bytes
from freqprep.sources.options import SourceOptions
from freqprep.sources.webdataset import discover
from freqprep.storage.paths import as_path

GOOD = (("a.cls", b"0"), ("a.jpg", b"x" * 700))
ZSTD = b"\x28\xb5\x2f\xfd"


def test_labels_apart_from_their_images_are_not_dropped(tmp_path):
    """As ``tar -cf X.tar *.jpg *.cls`` packs them."""
    images = [(f"{name}.jpg", b"x" * 700) for name in "abc"]
    labels = [(f"{name}.cls", b"1") for name in "abc"]
    put_tar(tmp_path / "train-0.tar", *images, *labels)
    for column in (None, "cls"):
        with pytest.raises(SourceError, match=r"none of them follows its image.*of train") as error:
            discover(tmp_path, None, SourceOptions(label_column=column))
        assert "--sort=name" in error.value.remedy


def tar_with(name: str, kind: bytes, **fields: object) -> bytes:
    """A tar with one good sample and a member of another kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for good, content in GOOD:
            info = tarfile.TarInfo(good)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo(name)
        info.type = kind
        for field, value in fields.items():
            setattr(info, field, value)
        archive.addfile(info)
    return buffer.getvalue()


def sparse() -> bytes:
    """A member whose zeros are left out, as GNU tar -S makes it in the pax format."""
    info = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5000"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.jpg")
        content = b"1\n0\n5\n".ljust(512, b"\0") + b"hello"
        member.pax_headers, member.size = info, len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def negative_size() -> bytes:
    """A header of a member with -512 bytes: what follows is the same header again."""
    content = bytearray(tar_of([GOOD[0], ("b.jpg", b"")]))
    header = content[1024:1536]
    header[124:136] = b"\xff" + struct.pack(">q", -512).rjust(11, b"\xff")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(content[:1024] + header + content[1536:])


def many_headers(kind: bytes, size: int, count: int) -> bytes:
    """Headers of extended names, one after the other."""
    info = tarfile.TarInfo("name")
    info.type, info.size = kind, size
    block = info.tobuf(tarfile.USTAR_FORMAT) + bytes(min(size, 512))
    return block * count + bytes(2**21 if size > 2**20 else 0) + tar_of(GOOD)


def cls(text: bytes) -> bytes:
    return tar_of([("a.cls", text), ("a.jpg", b"x")])


def json_of(text: bytes) -> bytes:
    return tar_of([("a.jpg", b"x"), ("a.json", text)])


WHOLE = tar_of(GOOD)
REFUSED = {
    "cut off in a member": (WHOLE[:1700], r"a\.tar.*'a\.jpg' needs bytes.*download it again"),
    "cut off in a header": (WHOLE[:1200], r"a\.tar.*download it again"),
    "without an end": (WHOLE[:2560], r"no member header and no end.*download it again"),
    "a damaged header": (WHOLE[:1100] + b"?" + WHOLE[1101:], r"a\.tar.*download it again"),
    "no tar": (b"<html>404</html>" * 99, r"a\.tar: not a whole tar"),
    "two archives": (WHOLE + tar_of([("b.jpg", b"x")]), r"a\.tar: it ends .*--ignore-zeros"),
    "data behind the end": (WHOLE + bytes(5000) + b"x", r"a\.tar: it ends at byte .* other data"),
    "more than one dot": (
        tar_of([("n01.v1_1.jpg", b"x"), ("n01.v1_1.cls", b"1"), ("n01.v1_2.jpg", b"x")]),
        r"no sample of a\.tar has an image: 2 images have names with more than one dot",
    ),
    "an empty file": (b"", r"a\.tar: not a whole tar.*empty"),
    "an empty tar": (tar_of([]), r"no sample with an image in the 1 tar of"),
    "no image": (tar_of([("a.cls", b"1"), ("a.txt", b"x")]), r"no sample with an image"),
    "gzip": (gzip.compress(WHOLE), r"a\.tar is compressed.*gunzip .*a\.tar\.gz"),
    "zstd": (ZSTD + WHOLE, r"a\.tar is compressed.*zstd -d "),
    "bzip2": (bz2.compress(WHOLE), r"a\.tar is compressed.*bunzip2 "),
    "xz": (lzma.compress(WHOLE), r"a\.tar is compressed.*unxz "),
    "an absolute name": (tar_of([("/a.jpg", b"x")]), r"a\.tar: the member /a\.jpg .*leads out"),
    "a name above": (tar_of([("x/../../a.jpg", b"x")]), r"leads out of the archive.*-C DIR"),
    "a symbolic link": (
        tar_with("b.jpg", tarfile.SYMTYPE, linkname="a.jpg"),
        r"b\.jpg is a link.*--hard-dereference",
    ),
    "a hard link": (tar_with("b.jpg", tarfile.LNKTYPE, linkname="a.jpg"), r"b\.jpg is a link"),
    "a device": (tar_with("b.jpg", tarfile.CHRTYPE), r"b\.jpg is a device"),
    "a FIFO": (tar_with("b.cls", tarfile.FIFOTYPE), r"b\.cls is a device"),
    "a sparse file": (sparse(), r"a\.jpg is a sparse file.*without --sparse"),
    "a negative size": (negative_size(), r"not a whole tar.*-512 bytes"),
    "a chain of headers": (many_headers(tarfile.XHDTYPE, 0, 20_000), r"not a whole tar"),
    "a huge header": (many_headers(tarfile.GNUTYPE_LONGNAME, 2**21, 1), r"a header of 2097152"),
    "a member twice": (tar_of([*GOOD, GOOD[1]]), r"a\.jpg is there twice.*--sort=name"),
    "a key twice": (
        tar_of([*GOOD, ("b.cls", b"1"), *GOOD]),
        r"a\.tar has 1 key more than once.*--sort=name",
    ),
    "two images": (tar_of([*GOOD, ("a.png", b"x")]), r"a has several images: a\.jpg, a\.png"),
    "a label that is no number": (cls(b"cat"), r"a\.cls: 'cat' is not a number from 0"),
    "a negative label": (cls(b"-1"), r"a\.cls: '-1' is not a number"),
    "a label in other digits": (cls("٣".encode()), r"is not a number from 0"),
    "a label of many digits": (cls(b"9" * 5000), r"is not a number from 0"),
    "a label above all classes": (cls(b"100000"), r"label 100000.*--label-column"),
    "an empty label": (cls(b""), r"a\.cls: '' is not a number"),
    "malformed JSON": (json_of(b'{"label": '), r"a\.json is not JSON: Expecting value"),
    "deep JSON": (json_of(b"[" * 200_000), r"a\.json is not JSON: nested too deeply"),
    "JSON that is no text": (json_of(b"\xff\xfe\xff"), r"a\.json is not JSON"),
    "huge JSON": (json_of(b" " * 2**20 + b"{}"), r"a\.json has 1048578 bytes; at most 1048576"),
    "a label that is a list": (json_of(b'{"label": [1]}'), r"field 'label': \[1\] is not a number"),
    "a label that is a float": (json_of(b'{"label": 1.0}'), r"1\.0 is not a number"),
    "a label that is true": (json_of(b'{"label": true}'), r"True is not a number"),
    "a label of half a letter": (json_of(b'{"label": "\\ud800"}'), r"is not a number from 0 or a"),
    "a number of many digits": (json_of(b'{"label": %s}' % (b"9" * 5000)), r"is not JSON"),
    "an image without a label": (
        tar_of([*GOOD, ("b.jpg", b"x")]),
        r"1 of 2 images of train have no label, the first of them a\.tar: b;",
    ),
    "names and numbers": (
        tar_of([*GOOD, ("b.jpg", b"x"), ("b.json", b'{"label": "cat"}')]),
        r"some labels are names \('cat'\), others numbers \(0\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_tar_that_cannot_be_used_is_refused_by_name(tmp_path, case):
    content, words = REFUSED[case]
    put(tmp_path / "a.tar", content)
    with pytest.raises(SourceError, match=words) as caught:
        discover(tmp_path, None)
    assert caught.value.remedy


READ_OTHERWISE = [
    "cut off in a header",
    "an empty file",
    "two archives",
    "gzip",
    "a huge header",
    "a negative size",
]


@pytest.mark.parametrize("case", [*READ_OTHERWISE, "cut off in a member", "an empty label"])
def test_it_is_refused_in_a_bucket_too(tmp_path, bucket, case):
    content, words = REFUSED[case]
    bucket.put("data/a.tar", content)
    with pytest.raises(SourceError, match=words):
        discover(as_path(f"{bucket.url}/data"), None)


@pytest.mark.parametrize(
    "names, words",
    [
        (["a.tar.gz"], r"compressed tars.*a\.tar\.gz; unpack each with gunzip"),
        (["a.TGZ", "b.tar"], r"a\.TGZ; unpack each with gunzip"),
        (["a.tar.zst"], "zstd -d"),
        (["a.tar.bz2"], "bunzip2"),
        (["a.tar.xz"], "unxz"),
        (["a.zip"], r"no \.tar files in"),
    ],
)
def test_compressed_tars_are_refused_by_their_suffix(tmp_path, names, words):
    for name in names:
        put(tmp_path / name, WHOLE)
    with pytest.raises(SourceError, match=words):
        discover(tmp_path, None)


@pytest.mark.parametrize("packed", ["a.tar.gz", "a.tgz"])
def test_a_compressed_tar_beside_its_unpacked_one_does_not_matter(tmp_path, packed):
    put(tmp_path / "a.tar", WHOLE)
    put(tmp_path / packed, gzip.compress(WHOLE))
    assert len(discover(tmp_path, None).listings["train"]) == 1


@pytest.mark.parametrize(
    "names, label, words",
    [
        (b"cat\n", b"1", r"a\.tar: label 1, but there are 1 class names.*--class-names"),
        (b"cat\n\ndog\n", b"1", r"names\.txt, line 2: no class name"),
    ],
)
def test_labels_outside_the_names_of_classes_are_refused(tmp_path, names, label, words):
    put(tmp_path / "data/a.tar", cls(label))
    put(tmp_path / "names.txt", names)
    with pytest.raises(SourceError, match=words):
        discover(tmp_path / "data", None, SourceOptions(class_names=tmp_path / "names.txt"))


@pytest.mark.parametrize(
    "column, words",
    [
        ("kind", r"a\.json has no field 'kind'; name another: there are 'label'"),
        ("txt", r"a\.txt is empty"),
    ],
)
def test_a_label_column_that_holds_no_label_is_named(tmp_path, column, words):
    put_tar(tmp_path / "a.tar", ("a.jpg", b"x"), ("a.json", b'{"label": 1}'), ("a.txt", b" "))
    with pytest.raises(SourceError, match=words):
        discover(tmp_path, None, SourceOptions(label_column=column))


@pytest.mark.parametrize(
    "column, words",
    [
        ("txt", r"no sample of val has a \.txt; there are: \.cls, \.jpg;.*leave it out"),
        ("kind", r"no sample of val has a \.json with the field 'kind'; there are: \.cls, \.jpg"),
        (".txt", r"no sample of val has a \.txt"),
    ],
)
def test_a_label_column_that_no_sample_of_a_split_has_is_named(tmp_path, column, words):
    label = [("a.txt", b"cat"), ("a.json", b'{"kind": "cat"}')]
    put_tar(tmp_path / "train-0.tar", ("a.jpg", b"x"), *label)
    put_tar(tmp_path / "val-0.tar", *GOOD)
    for split in (None, "val"):
        with pytest.raises(SourceError, match=words):
            discover(tmp_path, split, SourceOptions(label_column=column))
    assert len(discover(tmp_path, "train", SourceOptions(label_column=column)).classes.ids) == 1


@pytest.mark.parametrize("size", [0, 512, 10 * 2**10, 2**20])
def test_any_padding_behind_the_end_is_read_over(tmp_path, size):
    put(tmp_path / "a.tar", WHOLE + bytes(size))
    assert len(discover(tmp_path, None).listings["train"]) == 1


def test_a_name_that_is_no_class_and_numbers_beside_names_are_refused(tmp_path):
    put_tar(tmp_path / "a.tar", ("a.jpg", b"x"), ("a.json", b'{"label": "cat"}'))
    put(tmp_path / "names.txt", b"dog\nemu\n")
    given = SourceOptions(class_names=tmp_path / "names.txt")
    with pytest.raises(SourceError, match=r"a\.tar: the label 'cat' is none of the 2 class names"):
        discover(tmp_path / "a.tar", None, given)
    put(tmp_path / "b.tar", cls(b"1"))
    with pytest.raises(SourceError, match=r"labels of a\.tar are names .'cat'., those of b\.tar"):
        discover(tmp_path, None)


def test_a_tar_that_changed_since_it_was_listed_is_refused(tmp_path, bucket):
    put(tmp_path / "data/a.tar", WHOLE)
    url = as_path(bucket.upload(tmp_path / "data", "data"))
    for root in (tmp_path / "data", url):
        files = discover(root, None).listings["train"].files
        row = (int(files.offset[0]), int(files.length[0]), int(files.version[0]))
        assert read_image_bytes(root, b"a.tar", *row, 1000) == b"x" * 700
        other = WHOLE.replace(b"x", b"y")
        if root is url:
            bucket.put("data/a.tar", other)
        else:
            put(root / "a.tar", other)
        with pytest.raises(SourceChangedError, match=r"a\.tar is not what"):
            read_image_bytes(root, b"a.tar", *row, 1000)


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_of_a_tar_is_anything_but_a_named_error(tmp_path, seed):
    images = [(f"{n}.{s}", c) for n in range(3) for s, c in (("cls", b"1"), ("jpg", jpeg(n)))]
    whole = tar_of(images, tarfile.PAX_FORMAT)
    for step in range(60):
        damaged = bytearray(whole)
        for place in range(3):
            number = zlib.crc32(bytes([seed, step, place]))
            damaged[number % len(whole)] = number >> 24
        put(tmp_path / "a.tar", bytes(damaged[: len(whole) - seed * step * 50]))
        try:
            discover(tmp_path, None)
        except FreqprepError as error:
            assert re.search(r"\.tar|image", str(error))


def test_two_names_of_one_split_are_refused(tmp_path):
    for name in ("val-0.tar", "validation-0.tar"):
        put(Path(tmp_path / name), WHOLE)
    with pytest.raises(SourceError, match=r"both 'val' and 'validation'.*--split"):
        discover(tmp_path, None)


def test_the_errors_of_the_how_to_are_met(tmp_path):
    folders = {case: {"a.tar": content} for case, (content, _) in REFUSED.items()}
    folders["packed"] = {"a.tar.gz": WHOLE}
    folders["splits"] = {"train-0.tar": WHOLE, "0.tar": WHOLE}
    folders["names"] = {"a.tar": cls(b"5"), "classnames.txt": b"a\nb\nc\nd\ne\n"}
    met = []
    for case, content in folders.items():
        for name, data in content.items():
            put(tmp_path / case / name, data)
        with pytest.raises(SourceError) as caught:
            discover(tmp_path / case, None)
        met.append(str(caught.value))
    stated = [
        row[2].strip("`") for row in rows("tables.md", "Convert tar shards") if row[1] == "error"
    ]
    assert len(stated) == 14
    assert [words for words in stated if not any(words in text for text in met)] == []
