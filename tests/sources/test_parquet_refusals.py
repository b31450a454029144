"""Parquet tables that cannot be converted, and the error for each: one table."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest
from parquet_tables import IMAGE, NAMES, cells, class_label, labelled, noted, write

from freqprep.errors import FreqprepError, MissingPackageError, SourceError
from freqprep.sources import Listing, SourceOptions, discover
from freqprep.sources.parquet_rows import copy_images

Make = Callable[[Path], object]


def both(root: Path, one: pa.Table, two: pa.Table) -> None:
    write(root / "train-00000-of-00002.parquet", one)
    write(root / "train-00001-of-00002.parquet", two)


def cut(root: Path) -> None:
    path = labelled(root / "t.parquet", [0, 1])
    path.write_bytes(path.read_bytes()[:-20])


def no_footer(root: Path) -> None:
    path = labelled(root / "t.parquet", [0, 1])
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * (len(data) - 12) + data[-8:])


def metadata(text: str) -> Make:
    def make(root: Path) -> None:
        table = pa.table({"image": cells([0]), "label": [0]})
        write(root / "t.parquet", table.replace_schema_metadata({"huggingface": text}))

    return make


def names(names: object) -> Make:
    label = {"names": names, "_type": "ClassLabel"}
    return metadata(json.dumps({"info": {"features": {"label": label}}}))


def labels(values: list | pa.Array, known: tuple[str, ...] | None = NAMES) -> Make:
    def make(root: Path) -> None:
        labelled(root / "t.parquet", values, names=known)

    return make


def columns(**columns: object) -> Make:
    return lambda root: write(root / "t.parquet", pa.table(columns))


def text_as_bytes(root: Path) -> None:
    """A column of text that is not UTF-8."""
    text = pa.array([b"\xff\xfe"]).view(pa.string())
    write(root / "t.parquet", pa.table({"image": cells([0]), "label": text}))


def two_names(root: Path) -> None:
    labelled(root / "train-00000-of-00002.parquet", [0])
    labelled(root / "train-00001-of-00002.parquet", [0], names=("cat", "cow", "eel"))


def twice(name: str, **columns: object) -> Make:
    """A table that has one of its columns twice, by one name."""

    def make(root: Path) -> None:
        table = pa.table({"image": cells([0]), "label": [0]} | columns)
        write(root / "t.parquet", table.append_column(name, table[name]))

    return make


OBJECTS = pa.array([{"bbox": [[0.0, 0.0, 1.0, 1.0]], "category": [1]}])
NESTED = '{"info":' * 200_000
IMAGES = pa.array([b"x"])

REFUSED: dict[str, tuple[Make, dict, str]] = {
    "nothing": (lambda root: None, {}, "no .parquet files"),
    "empty": (lambda root: (root / "t.parquet").touch(), {}, "cannot be read as Parquet"),
    "not_parquet": (
        lambda root: (root / "t.parquet").write_bytes(b"PAR1" * 100),
        {},
        "t.parquet cannot be read as Parquet",
    ),
    "truncated": (cut, {}, "t.parquet cannot be read as Parquet"),
    "damaged": (no_footer, {}, "t.parquet cannot be read as Parquet"),
    "no_rows": (labels(pa.array([], pa.int64())), {}, "no row of .* has a label|have no rows"),
    "no_images": (
        lambda root: write(
            root / "t.parquet",
            pa.table({"image": pa.array([{"path": "1.jpg"}], IMAGE), "label": [0]}),
        ),
        {},
        "no row of train has the bytes of an image, only paths",
    ),
    "no_image_column": (columns(label=[0]), {}, r"no column with the bytes.*label \(int64\)"),
    "paths_only": (columns(image=["1.jpg"], label=[0]), {}, r"no column.*image \(string\)"),
    "pixels": (columns(image=[[[1, 2]]], label=[0]), {}, "no column with the bytes of image files"),
    "two_images": (columns(a=IMAGES, b=IMAGES, label=[0]), {}, "several columns of bytes: a, b"),
    "no_such_image": (
        labels([0]),
        {"image_column": "imgae"},
        "no column 'imgae'.*did you mean image.*--image-column",
    ),
    "image_of_other_type": (
        labels([0]),
        {"image_column": "label"},
        "'label' has int64, not the bytes",
    ),
    "no_label": (columns(image=IMAGES), {}, "no column of labels.*--label-column"),
    "two_labels": (
        lambda root: write(
            root / "t.parquet",
            noted(
                pa.table({"image": cells([0]), "fine": [0], "coarse": [0]}),
                fine=class_label(NAMES),
                coarse=class_label(NAMES),
            ),
        ),
        {},
        "several columns of labels: fine, coarse",
    ),
    "no_such_label": (labels([0]), {"label_column": "lable"}, "no column 'lable'.*mean label"),
    "label_of_other_type": (columns(image=IMAGES, label=[0.5]), {}, "'label' has double, not one"),
    "several_labels": (columns(image=IMAGES, label=[[0, 1]]), {}, "'label' has list<.*>, not one"),
    "label_without_name": (labels([0, 3]), {}, "label 3, but there are 3 class names"),
    "negative_label": (labels([0, -2]), {}, "t.parquet, label number 1: -2"),
    "huge_label": (labels([0, 2**40], None), {}, "label 1099511627776; numbers of classes are"),
    "huge_unsigned_label": (
        labels(pa.array([2**64 - 1], pa.uint64()), None),
        {},
        "no numbers of 64 bits",
    ),
    "no_labels": (labels([None, -1], None), {}, "no row of .* has a label"),
    "captions": (
        lambda root: write(
            root / "t.parquet",
            pa.table({"image": [b"x"] * 100_001, "label": [str(n) for n in range(100_001)]}),
        ),
        {},
        "100001 texts as labels, such as '0'; classes are at most 100000",
    ),
    "text_that_is_none": (text_as_bytes, {}, "t.parquet cannot be read as Parquet.*UTF8"),
    "labels_twice": (twice("label"), {}, "several columns of labels: label, label"),
    "images_twice": (twice("image"), {}, "no column with the bytes of image files"),
    "objects_twice": (
        twice("objects", objects=OBJECTS),
        {},
        "several columns of objects: objects, objects",
    ),
    "objects_in_labels": (
        lambda root: write(
            root / "t.parquet",
            pa.table(
                [cells([0]), OBJECTS, pa.array([0])],
                names=["image", "label", "label"],
            ),
        ),
        {},
        "several columns called 'label'",
    ),
    "metadata_no_json": (metadata("{"), {}, "metadata 'huggingface' of its schema"),
    "metadata_list": (metadata("[]"), {}, "metadata 'huggingface' of its schema"),
    "metadata_nested": (metadata(NESTED), {}, "metadata 'huggingface' of its schema"),
    "names_numbers": (names(["cat", 7]), {}, "names of 'label' .* not a list of texts: 7"),
    "names_text": (names("cat"), {}, "names of 'label' .* not a list of texts: 'cat'"),
    "names_none": (names([]), {}, r"not a list of texts: \[\]"),
    "names_empty": (names(["cat", " "]), {}, "name of label 1 of 'label' is empty"),
    "names_half_a_letter": (names(["\ud800"]), {}, "not a list of texts"),
    "names_many": (names(["x"] * 100_001), {}, "100001 names of classes; at most 100000"),
    "mixed_names": (two_names, {}, "other names of classes: label 1 is 'dog' and 'cow'"),
    "mixed_types": (
        lambda root: both(
            root,
            pa.table({"image": IMAGES, "label": [0]}),
            pa.table({"image": IMAGES, "label": ["a"]}),
        ),
        {},
        "have other columns: labels that are numbers",
    ),
    "mixed_images": (
        lambda root: both(
            root,
            pa.table({"image": IMAGES, "label": [0]}),
            pa.table({"image": cells([0]), "label": [0]}),
        ),
        {},
        "have other columns: images 'image' and 'image.bytes'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_listed_is_a_named_error(tmp_path: Path, name: str):
    make, options, message = REFUSED[name]
    make(tmp_path)
    with pytest.raises(SourceError, match=f"(?s){message}") as caught:
        discover("parquet", tmp_path, None, SourceOptions(**options))
    assert caught.value.remedy and len(str(caught.value)) < 1500


def test_texts_with_a_name_twice_are_refused(tmp_path: Path):
    labelled(tmp_path / "t.parquet", ["cat"], names=None)
    (tmp_path / "names.txt").write_text("cat\ncat\n")
    options = SourceOptions(class_names=tmp_path / "names.txt")
    with pytest.raises(SourceError, match=r"names.txt has the class name 'cat' twice"):
        discover("parquet", tmp_path, None, options)


def damage(path: Path, where: int) -> None:
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)


def copy_all(root: Path, listing: Listing) -> None:
    copy_images(root, listing.files.take(np.arange(len(listing))), "image", io.BytesIO())


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_a_damaged_page_is_an_error_with_the_name_of_its_file(tmp_path: Path, compression: str):
    image = np.random.default_rng(0).bytes(5000)
    table = pa.table({"image": pa.array([{"bytes": image}] * 4, IMAGE), "label": [0] * 4})
    path = write(tmp_path / "t.parquet", table, compression=compression, write_page_checksum=True)
    start = pq.read_metadata(path).row_group(0).column(0).dictionary_page_offset
    damage(path, start + 2000)
    listing = discover("parquet", tmp_path, None, SourceOptions()).listings["train"]
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        copy_all(tmp_path, listing)


def test_no_damage_is_more_than_a_named_error(tmp_path: Path):
    """Any byte of a file, flipped: named, or without effect on what is read."""
    path = labelled(tmp_path / "t.parquet", [0, 1, 2], write_page_checksum=True)
    good = path.read_bytes()
    for where in np.random.default_rng(0).choice(len(good), 150, replace=False).tolist():
        path.write_bytes(good)
        damage(path, where)
        try:
            listing = discover("parquet", tmp_path, None, SourceOptions()).listings["train"]
            copy_images(
                tmp_path, listing.files.take(np.arange(len(listing))), "image", io.BytesIO()
            )
        except FreqprepError:
            continue


class _Keys(encryption.KmsClient):
    """Keys that wrap nothing: what matters is that the reader has none."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)


@pytest.mark.parametrize("columns", [["image.bytes"], ["label"]])
@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_encrypted_columns_are_named_errors(tmp_path: Path, columns, plaintext_footer: bool):
    # pyarrow ends the process where the footer's metadata of such a column are looked at.
    table = pa.table({"image": cells(range(3)), "label": [0, 1, 2]})
    configuration = encryption.EncryptionConfiguration(
        "footer", column_keys={"key": columns}, plaintext_footer=plaintext_footer
    )
    factory = encryption.CryptoFactory(lambda _: _Keys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
    write(tmp_path / "t.parquet", table, encryption_properties=properties)
    with pytest.raises(SourceError, match=r"cannot be read as Parquet.*crypt"):
        listing = discover("parquet", tmp_path, None, SourceOptions()).listings["train"]
        copy_all(tmp_path, listing)


def test_a_codec_that_is_not_there_is_named(tmp_path: Path):
    path = labelled(tmp_path / "t.parquet", [0], compression="none")
    footer = pq.read_metadata(path).row_group(0).column(0)
    assert footer.compression == "UNCOMPRESSED"
    data = path.read_bytes()
    # The codec is a number in the footer's Thrift: LZO, which pyarrow has not.
    changed = data.replace(b"\x05image\x18\x05bytes\x15\x00", b"\x05image\x18\x05bytes\x15\x06")
    path.write_bytes(
        changed if changed != data else data.replace(b"bytes\x15\x00", b"bytes\x15\x06")
    )
    listing = discover("parquet", tmp_path, None, SourceOptions()).listings["train"]
    with pytest.raises(SourceError, match=r"cannot be read as Parquet.*(?i:lzo|codec)"):
        copy_all(tmp_path, listing)


def test_the_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    labelled(tmp_path / "t.parquet", [0])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'freqprep\[parquet\]'"):
        discover("parquet", tmp_path, None, SourceOptions())
