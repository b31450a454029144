"""Splits of Parquet tables: their files are all there, and those of others are left alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from parquet_tables import NAMES, cells, labelled, write

from freqprep.errors import SourceError
from freqprep.sources import Discovered, SourceOptions, discover


def found(source: Path, split: str | None = None, **options) -> Discovered:
    return discover("parquet", source, split, SourceOptions(**options))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("0000{}-of-00003",), "train: 2 of 3 files are absent: 00000-of-00003, 00002-of-00003"),
        (("00000-of-00002", "00001-of-00003"), "0-of-00002.* and .*1-of-00003.*not numbered alike"),
        (("00000-of-00001-a1", "00000-of-00001-b2"), "1-a1.* and .*1-b2.* have the same number"),
        (("00005-of-00002", "00000-of-00002"), "5-of-00002.* is none of the 2 files"),
        (("00000-of-99999999999999999999",), "99999999999999999998 of .* files are absent: .*, "),
    ],
)
def test_a_split_without_its_own_files_each_once_is_refused(tmp_path: Path, names, message: str):
    for name in names:
        labelled(tmp_path / f"data/train-{name.format(1)}.parquet", [0])
    labelled(tmp_path / "data/test-00000-of-00001.parquet", [1])
    for split in (None, "train"):
        with pytest.raises(SourceError, match=message) as caught:
            found(tmp_path, split)
        assert "with a pattern" in str(caught.value)
    assert list(found(tmp_path, "test").listings) == ["test"]


def test_numbered_files_beside_one_without_a_number_are_refused(tmp_path: Path):
    labelled(tmp_path / "train-00000-of-00001.parquet", [0])
    labelled(tmp_path / "train.parquet", [0])
    with pytest.raises(SourceError, match="not numbered alike"):
        found(tmp_path)


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_begin_with_0_or_1_and_may_have_a_hash_behind(tmp_path: Path, first: int):
    for index in (first, first + 1):
        labelled(tmp_path / f"train-0000{index}-of-00002-0123ab{index}.parquet", [0], first=index)
    result = found(tmp_path)
    assert len(result.listings["train"]) == 2 and not result.notes


def test_of_files_that_are_named_some_may_be_absent_with_a_note(tmp_path: Path):
    path = labelled(tmp_path / "train-00001-of-00003.parquet", [0])
    note = "train: 2 of 3 files are absent: 00000-of-00003, 00002-of-00003"
    assert note in found(path).notes
    assert note in found(tmp_path / "train-*.parquet").notes


def test_a_split_is_listed_without_the_files_of_others(tmp_path: Path):
    labelled(tmp_path / "train.parquet", [0, 2])
    (tmp_path / "test.parquet").write_bytes(b"PAR1 cut short")
    result = found(tmp_path, "train")
    assert result.classes.ids == NAMES and result.listings["train"].labels.tolist() == [0, 2]


def test_files_of_other_splits_that_are_needed_for_classes_are_named(tmp_path: Path):
    labelled(tmp_path / "train.parquet", [0, 2], names=None)
    write(tmp_path / "test.parquet", pa.table({"image": cells([0])}))
    with pytest.raises(SourceError, match=r"test.parquet has no column of labels.*pattern"):
        found(tmp_path, "train")
    assert len(found(tmp_path / "train*.parquet", "train").listings["train"]) == 2
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    assert found(tmp_path, "train", class_names=tmp_path / "names.txt").classes.ids == tuple("abc")


def test_tables_without_rows_are_named(tmp_path: Path):
    labelled(tmp_path / "train.parquet", pa.array([], pa.int64()), names=None)
    with pytest.raises(SourceError, match=r"the tables of train have no rows: .*train.parquet"):
        found(tmp_path)
