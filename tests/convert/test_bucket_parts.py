"""Parts of a conversion into a bucket."""

import pytest
from bucket_store import KEY
from in_threads import together

from freqprep.convert.parts import convert_part, finalize, plan
from freqprep.convert.request import Request
from freqprep.errors import StoreError
from freqprep.store.part import Part

JOURNAL = f"{KEY}/.partial-train/journal-"


@pytest.fixture
def request_(many, place) -> Request:
    return Request("imagefolder", many, place, size=32, jobs=1)


def test_parts_at_the_same_time_and_one_of_them_twice(request_, expected, bucket):
    assert plan(request_) == {"train": 5}
    parts = [Part(3, 3), Part(1, 3), Part(2, 3), Part(2, 3)]
    together(*(lambda part=part: convert_part(request_, part) for part in parts))
    finalize(request_)
    assert bucket.contents(KEY) == expected


def test_a_part_reads_no_journal_that_cannot_concern_it(request_, bucket):
    plan(request_)
    for number, shards in ((1, 2), (2, 2), (3, 1)):
        assert convert_part(request_, Part(number, 3)) == {"train": shards}
    bucket.requests.clear()
    assert convert_part(request_, Part(2, 6)) == {"train": 0}  # shard 1, made by 2/3
    asked = [line for line in bucket.requests if line.startswith("GET") and "of-3" in line]
    assert asked and all("part-2-of-3" in line for line in asked)
    # Of the split nothing is listed: only the shards that its journals have are looked for.
    asked = [line for line in bucket.requests if "/train/" in line]
    assert asked and all(line.startswith("HEAD") for line in asked)


def test_what_runs_of_all_shards_have_recorded_is_not_made_again(request_, bucket):
    plan(request_)
    convert_part(request_, Part(1, 1))
    (segment,) = bucket.keys(JOURNAL)
    whole = segment.replace("part-1-of-1/", "")  # as --resume names it
    bucket.put(whole, bucket.get(segment))
    bucket.delete(segment)
    assert convert_part(request_, Part(2, 3)) == {"train": 0}


def test_missing_parts_are_named_and_nothing_is_published(request_, expected, bucket):
    plan(request_)
    with pytest.raises(StoreError, match="train lacks 5 of 5 shards; run all parts"):
        finalize(request_)
    for number in (1, 3):
        convert_part(request_, Part(number, 4))
    with pytest.raises(StoreError, match="train lacks 2 of 5 shards: those of --part 2/4, 4/4"):
        finalize(request_)
    assert f"{KEY}/train/manifest.json" not in bucket.keys("")
    for number in (2, 4):
        convert_part(request_, Part(number, 4))
    finalize(request_)
    assert bucket.contents(KEY) == expected


def test_a_shard_that_is_gone_is_made_again(request_, expected, bucket):
    plan(request_)
    convert_part(request_, Part(1, 2))
    bucket.delete(f"{KEY}/train/coefficients/c/2/0/0/0")
    bucket.put(f"{KEY}/train/coefficients/c/4/0/0/0", b"short")
    assert convert_part(request_, Part(1, 2)) == {"train": 2}
    convert_part(request_, Part(2, 2))
    finalize(request_)
    assert bucket.contents(KEY) == expected
