"""Several writers of one store in a bucket: parts, and those that come too late."""

import pytest
import synthetic
from bucket_store import KEY, begin
from in_threads import together

import freqprep
from freqprep.convert.parts import convert_part, finalize, plan
from freqprep.convert.request import Request
from freqprep.engines import Workers
from freqprep.errors import LeaseLostError, StoreError, UsageError
from freqprep.store.object_writer import PartialObjectSplit
from freqprep.store.part import Part
from freqprep.store.verify import verify


def test_parts_at_the_same_time(many, expected, place, bucket):
    request = Request("imagefolder", many, place, size=32, jobs=1)
    plan(request)
    convert_part(request, Part(1, 3))
    with pytest.raises(StoreError, match="train lacks 3 of 5 shards: those of --part 2/3, 3/3"):
        finalize(request)
    assert not list(freqprep.open_store(place))
    together(lambda: convert_part(request, Part(2, 3)), lambda: convert_part(request, Part(3, 3)))
    finalize(request)
    assert bucket.contents(KEY) == expected
    with pytest.raises(UsageError, match="no planned split"):
        convert_part(request, Part(2, 3))


def test_without_the_lease_nothing_is_discarded(monkeypatch, many, place, bucket):
    begin(monkeypatch, many, place, 3)
    before = bucket.contents(KEY)

    def lost() -> None:
        raise LeaseLostError("lost", "")

    with pytest.raises(LeaseLostError):
        PartialObjectSplit(place, "train", lost).discard()
    assert bucket.contents(KEY) == before


def test_the_manifest_of_one_that_lost_its_lease_is_removed(
    monkeypatch, many, expected, place, bucket, tmp_path
):
    other = synthetic.make(many, tmp_path / "other.zarr", size=24)
    begin(monkeypatch, many, place, 3)
    bucket.put(f"{KEY}/train/manifest.json", (other / "train/manifest.json").read_bytes())
    synthetic.make(many, place, resume=True)
    assert bucket.contents(KEY) == expected


def test_results_that_come_after_the_end_are_removed(many, expected, place, bucket):
    synthetic.make(many, place)
    bucket.put(f"{KEY}/.partial-train/journal-1/000007-abcd.jsonl", b"{}\n")
    synthetic.make(many, place, resume=True)
    assert bucket.contents(KEY) == expected


def test_an_unfinished_split_is_no_damage(monkeypatch, many, place):
    begin(monkeypatch, many, place, 3)
    assert not verify(place, Workers(1)).problems
