"""A store written to a bucket: the objects are the files of a local one, whatever happened."""

import json
import os

import pytest
import synthetic
from bucket_store import KEY, begin
from coco_folder import coco_folder

import freqprep
from freqprep.convert import shard_runs as conversion
from freqprep.errors import (
    CorruptStoreError,
    LeaseLostError,
    SplitExistsError,
    StoreError,
    StoreLockedError,
    UsageError,
)
from freqprep.pack.shard_task import PackedShard
from freqprep.storage.paths import as_path
from freqprep.store import lease, object_journal
from freqprep.store.lease import Timing
from freqprep.store.lock import store_lock
from freqprep.store.object_writer import PartialObjectSplit
from freqprep.store.stored_lengths import StoredLengths
from freqprep.store.writer import write_shard

pytestmark = pytest.mark.long

SHARD = "coefficients/c/{}/0/0/0"


@pytest.mark.parametrize(("server", "jobs"), [("moto_bucket", 1), ("bucket", 2)])
def test_objects_are_the_files_of_a_local_store(request, source, store, server, jobs):
    bucket = request.getfixturevalue(server)
    place = as_path(f"{bucket.url}/{KEY}")
    synthetic.make(source, place, jobs=jobs)
    assert bucket.contents(KEY) == synthetic.contents(store)
    beside = {key for key in bucket.keys("") if not key.startswith(f"{KEY}/")}
    rejected = [f"rejected-{split}.jsonl" for split in ("train", "val")]
    assert beside == {f"{KEY}.{name}" for name in ["log", *rejected]}
    for name in rejected:
        assert bucket.get(f"{KEY}.{name}") == store.with_name(f"{store.name}.{name}").read_bytes()
    entries = [json.loads(line) for line in bucket.get(f"{KEY}.log").splitlines()]
    assert [entry["split"] for entry in entries] == ["train", "val"]
    opened = freqprep.open_store(place)
    assert [entry["content_id"] for entry in entries] == [opened[s].content_id for s in opened]


def test_coco_too(tmp_path, place, bucket):
    source = coco_folder(tmp_path / "coco")
    local = synthetic.make(source, tmp_path / "out.zarr", kind="coco")
    synthetic.make(source, place, kind="coco")
    assert bucket.contents(KEY) == synthetic.contents(local)


def test_the_command_prints_and_checks_what_it_does_locally(source, tmp_path, place, bucket):
    words = ["imagefolder", source, str(place), "--size", "32", "--jobs", "1"]
    done = synthetic.freqprep("convert", *words)
    assert done.returncode == 3, done.stderr
    assert f"see {place}.rejected-train.jsonl" in done.stderr
    again = synthetic.freqprep("convert", *words)
    assert again.returncode == 2 and f"{place} already has the split" in again.stderr
    document = synthetic.freqprep_json("convert", *words, "--overwrite", "--dry-run")
    assert document["free_bytes"] is None
    done = synthetic.freqprep("verify", str(place), "--source", source)
    assert done.returncode == 0, done.stderr


def an_object(bucket) -> None:
    bucket.put(KEY, b"mine")


def a_prefix(bucket) -> None:
    bucket.put(f"{KEY}/thesis.txt", b"mine")


def a_foreign_group(bucket) -> None:
    bucket.put(f"{KEY}/zarr.json", b'{"zarr_format": 3, "node_type": "group"}')


@pytest.mark.parametrize("make", [an_object, a_prefix, a_foreign_group])
@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_what_is_not_a_store_is_refused_and_left_alone(source, place, bucket, make, options):
    make(bucket)
    before = bucket.contents("some")
    with pytest.raises(UsageError, match="not a freqprep store"):
        synthetic.make(source, place, **options)
    assert bucket.contents("some") == before


def test_retrying_rejected_images_is_refused_by_name(source, place, bucket):
    with pytest.raises(UsageError, match="--retry-rejected is for stores in a local folder"):
        synthetic.make(source, place, retry_rejected=True)
    assert bucket.keys("") == []


def test_a_half_written_split_is_unreadable_and_said_to_be(
    many, expected, place, bucket, monkeypatch
):
    begin(monkeypatch, many, place, 3)
    assert sum("/coefficients/c/" in key for key in bucket.keys("")) == 3
    opened = freqprep.open_store(place)
    assert not list(opened) and opened.unfinished == ["train"] and not opened.incomplete
    done = synthetic.freqprep("info", str(place))
    assert "train" in done.stdout + done.stderr and "--resume" in done.stdout + done.stderr
    with pytest.raises(SplitExistsError, match=r"unfinished split train.*--resume"):
        synthetic.make(many, place)
    made = []
    convert_shard = conversion.convert_shard
    monkeypatch.setattr(
        conversion, "convert_shard", lambda task: made.append(task.shard) or convert_shard(task)
    )
    synthetic.make(many, place, resume=True)
    assert made == [3, 4]
    assert bucket.contents(KEY) == expected


def lose_a_shard(bucket, place) -> None:
    bucket.delete(f"{KEY}/train/{SHARD.format(1)}")


def cut_a_shard(bucket, place) -> None:
    bucket.put(f"{KEY}/train/{SHARD.format(1)}", b"cut")


def lose_the_journal(bucket, place) -> None:
    for key in bucket.keys(f"{KEY}/.partial-train/journal-"):
        bucket.delete(key)


def have_results_of_another_plan(bucket, place) -> None:
    lose_the_journal(bucket, place)
    bucket.put(f"{KEY}/.partial-train/journal-0123456789abcdef/000000-0.jsonl", b"{}")


def have_objects_of_an_older_split(bucket, place) -> None:
    bucket.put(f"{KEY}/train/{SHARD.format(77)}", b"old")
    bucket.put(f"{KEY}/train/old_array/zarr.json", b"{}")
    bucket.put(f"{KEY}/train/label/c/0", b"old")


@pytest.mark.parametrize(
    "change",
    [
        lose_a_shard,
        cut_a_shard,
        lose_the_journal,
        have_results_of_another_plan,
        have_objects_of_an_older_split,
    ],
)
def test_resuming_trusts_nothing_but_what_is_there(
    many, expected, place, bucket, monkeypatch, change
):
    begin(monkeypatch, many, place, 4)
    change(bucket, place)
    synthetic.make(many, place, resume=True)
    assert bucket.contents(KEY) == expected


def test_a_damaged_journal_or_plan_is_named(many, place, bucket, monkeypatch):
    begin(monkeypatch, many, place, 4)
    (segment,) = bucket.keys(f"{KEY}/.partial-train/journal-")
    bucket.put(segment, bucket.get(segment)[:-9])
    with pytest.raises(CorruptStoreError, match=r"journal.*damaged.*--overwrite"):
        synthetic.make(many, place, resume=True)
    bucket.put(f"{KEY}/.partial-train/plan.npz", b"PK")
    with pytest.raises(CorruptStoreError, match=r"not the one that was planned.*--overwrite"):
        synthetic.make(many, place, resume=True)


@pytest.mark.parametrize("large", [False, True])
def test_segments_are_written_by_count_by_time_and_at_the_end(bucket, large):
    folder, now = as_path(f"{bucket.url}/journal"), [0.0]
    entries = [PackedShard(shard, 9, "00" * 32) for shard in range(200)]
    stored = StoredLengths(((SHARD.format(shard), 9) for shard in range(200)), 200)

    def journal() -> object_journal.ObjectJournal:
        return object_journal.ObjectJournal(
            folder,
            PackedShard,
            [folder / name for name, _ in folder.files()],
            200,
            lambda shards: stored,
            lambda: None,
            large,
            lambda: now[0],
        )

    with journal() as first, journal() as second:  # two processes at the same time
        for entry in entries[:65]:
            first.append(entry)
        assert len(bucket.keys("")) == 1
        now[0] = 59
        second.append(entries[70])
        assert len(bucket.keys("")) == 1
        now[0] = 60
        second.append(entries[71])
        assert len(bucket.keys("")) == 2
    assert len(bucket.keys("")) == 3
    with journal() as third:
        assert sorted(third.finished) == [*range(65), 70, 71]
        third.append(entries[100])
        assert [third.finished[shard] for shard in (3, 71, 100)] == [
            entries[shard] for shard in (3, 71, 100)
        ]
    numbers = [int(key.split("/")[1].split("-")[0]) for key in bucket.keys("")]
    assert max(numbers) == 2 and len(bucket.keys("")) == 4


def test_overwriting_leaves_nothing_of_the_old_split_and_tells_readers(
    source, many, expected, tmp_path, place, bucket
):
    synthetic.make(many, place, size=24)
    bucket.put(f"{KEY}/train/stray", b"?")
    reader = freqprep.open_store(place)["train"]
    synthetic.make(many, place, overwrite=True)
    assert bucket.contents(KEY) == expected
    with pytest.raises(StoreError):
        reader.read(range(100))


def test_an_overwriting_that_is_stopped_can_be_resumed(many, expected, place, bucket, monkeypatch):
    synthetic.make(many, place, size=24)
    begin(monkeypatch, many, place, 2, overwrite=True)
    assert not list(freqprep.open_store(place))
    synthetic.make(many, place, resume=True)
    assert bucket.contents(KEY) == expected


def test_an_incomplete_copy_is_neither_replaced_nor_read(many, place, bucket):
    synthetic.make(many, place)
    bucket.delete(f"{KEY}/train/manifest.json")
    before = bucket.contents(KEY)
    with pytest.raises(SplitExistsError, match="already has the split"):
        synthetic.make(many, place)
    assert bucket.contents(KEY) == before


def test_a_second_converter_names_the_first(many, place, bucket, monkeypatch):
    monkeypatch.setattr(lease, "TIMING", Timing(renewal=0.01, life=60, look=0.01))
    with store_lock(place), pytest.raises(StoreLockedError, match=f"process {os.getpid()} on "):
        synthetic.make(many, place)
    assert bucket.keys("") == []


def test_the_lease_of_a_dead_converter_is_taken_over(many, expected, place, bucket, monkeypatch):
    lease.Lease(as_path(f"{place}.lock"), place, Timing()).acquire()
    now = [0.0]
    monkeypatch.setattr(
        lease,
        "TIMING",
        Timing(clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)),
    )
    synthetic.make(many, place)
    assert now[0] == 60
    assert bucket.contents(KEY) == expected
    assert f"{KEY}.lock" not in bucket.keys("")


def lose_the_lease(bucket) -> None:
    bucket.put(f"{KEY}.lock", b'{"format": "freqprep-lease", "holder": "process 1 on elsewhere"}')


def test_a_lost_lease_stops_before_the_commit(many, expected, place, bucket, monkeypatch):
    put = PartialObjectSplit._put

    def losing(self, folder, names) -> None:
        put(self, folder, names)
        lose_the_lease(bucket)

    monkeypatch.setattr(PartialObjectSplit, "_put", losing)
    with pytest.raises(LeaseLostError, match=r"taken over by process 1 on elsewhere.*--resume"):
        synthetic.make(many, place)
    assert not list(freqprep.open_store(place))
    assert b"elsewhere" in bucket.get(f"{KEY}.lock")  # not ours to remove
    monkeypatch.undo()


def test_workers_of_a_run_that_was_taken_over_write_no_shard(place, bucket):
    partial = PartialObjectSplit(place, "train", lambda: None)
    with partial.aside() as aside:
        partial.tidy()  # by the next run
        with pytest.raises(LeaseLostError, match="taken over"):
            write_shard(partial.split_folder, 0, [b"late"], aside)
    assert bucket.keys("") == []
