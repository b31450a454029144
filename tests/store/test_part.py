"""Parts of a conversion: which shards they have, and how their journals are called."""

import itertools

import pytest

from freqprep.errors import UsageError
from freqprep.store.part import Part

COUNTS = (1, 2, 3, 4, 6, 9)
PARTS = [Part(number, count) for count in COUNTS for number in range(1, count + 1)]


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b", "1/3/5", "", "1/9999999"]
)
def test_parts_that_do_not_exist(text):
    with pytest.raises(UsageError, match="--part must be I/N"):
        Part.parse(text)


def test_every_shard_is_in_one_part():
    for count in (1, 2, 7, 20):
        mine = [shard for n in range(count) for shard in Part.parse(f"{n + 1}/{count}").of(11)]
        assert sorted(mine) == list(range(11))


@pytest.mark.parametrize("together", [1, 4, 128])
def test_shards_that_go_together_are_in_one_part(together):
    for count in (1, 2, 7):
        parts = [Part(number, count) for number in range(1, count + 1)]
        dealt = {shard: part for part in parts for shard in part.of(301, together)}
        assert sorted(dealt) == list(range(301))
        assert all(dealt[s] == dealt[s // together * together] for s in dealt)
        assert all(Part(1, count).with_shard(s, together) == part for s, part in dealt.items())


def test_parts_overlap_that_share_a_shard():
    for one, other in itertools.product(PARTS, PARTS):
        share = not set(one.of(200)).isdisjoint(other.of(200))
        assert one.overlaps(other) == other.overlaps(one) == share, (one, other)


def test_names_of_journals_say_the_part():
    for part in PARTS:
        assert Part.named(part.label) == Part.named(f"{part.label}-0123.jsonl") == part
    for name in ("journal.jsonl", "part-1", "part-1-of-", "part-1-of-0", "000000-0123.jsonl"):
        assert Part.named(name) is None
