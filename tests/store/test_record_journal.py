"""Binary journals that are torn or lie: what is whole is kept, the rest named or made again."""

import struct
import zlib
from pathlib import Path

import pytest
from numcodecs import zstd

from freqprep.errors import CorruptStoreError
from freqprep.pack.shard_task import PackedShard
from freqprep.store import records
from freqprep.store.journal import Journal, ShardResult
from freqprep.store.record_journal import RecordJournal, forget_lost

FRAME = b"\x28\xb5\x2f\xfd"


def record(shard: int, body: bytes = b"") -> bytes:
    rest = struct.pack("<QQ", shard, 9) + body
    return struct.pack("<II", len(body), zlib.crc32(rest)) + rest


def journal(path: Path, kind=PackedShard, others=()) -> RecordJournal:
    return RecordJournal(path, kind, 10, others)


def test_a_binary_journal_reads_back_and_drops_a_torn_end(tmp_path):
    path, entries = tmp_path / "journal.bin", [PackedShard(n, n, f"{n:064x}") for n in range(4)]
    with journal(path) as first:
        for entry in entries:
            first.append(entry)
        assert [first.finished[n] for n in range(4)] == entries
    whole = path.read_bytes()
    for cut in (1, 20, 30):
        for tail in (whole[:-cut], whole[:-cut] + bytes(cut)):  # not all written, or not synced
            path.write_bytes(tail)
            with journal(path) as again:
                assert sorted(again.finished) == [0, 1, 2] and len(again.finished) == 3
                again.append(entries[3])
                assert dict(again.finished) == dict(enumerate(entries))
            assert path.read_bytes() == whole


@pytest.fixture
def written(tmp_path) -> Path:
    """A journal of four shards."""
    path = tmp_path / "journal.bin"
    with journal(path) as opened:
        for number in range(4):
            opened.append(PackedShard(number, number, f"{number:064x}"))
    return path


@pytest.mark.parametrize("opened", [journal, lambda path: Journal(path, PackedShard)])
def test_shards_whose_files_are_lost_are_not_finished(tmp_path, opened):
    with opened(tmp_path / "journal") as first:
        for number in range(5):
            first.append(PackedShard(number, 10 + number, f"{number:064x}"))
    there = {0: 10, 1: 3, 3: 13}
    with opened(tmp_path / "journal") as again:
        assert sorted(forget_lost(again, lambda shard: there.get(shard, -1))) == [1, 2, 4]
        assert sorted(again.finished) == [0, 3] and forget_lost(again, there.__getitem__) == []
        again.append(PackedShard(1, 11, f"{9:064x}"))
    with opened(tmp_path / "journal") as last:
        assert last.finished[1].sha256 == f"{9:064x}" and len(last.finished) == 5


@pytest.mark.parametrize("tail", [bytes(10), bytes(4096), b"\xff" * 10, b"\xff" * 100, FRAME * 9])
@pytest.mark.parametrize("cut", [0, 5])
def test_what_a_power_loss_leaves_behind_the_records_is_cut_off(written, caplog, cut, tail):
    whole = written.read_bytes()
    written.write_bytes(whole[: len(whole) - cut] + bytes(cut) + tail)
    with journal(written) as again:
        assert sorted(again.finished) == [0, 1, 2, 3][: 3 if cut else 4]
        if cut:
            again.append(PackedShard(3, 3, f"{3:064x}"))
    assert written.read_bytes() == whole and not caplog.records


def test_a_damaged_record_before_others_is_refused_with_their_number(written):
    damaged = bytearray(written.read_bytes())
    damaged[40] ^= 1
    written.write_bytes(damaged)
    message = r"record at 0 of .* is damaged .*behind it: 3 records.*--overwrite"
    with pytest.raises(CorruptStoreError, match=message):
        journal(written)
    assert written.read_bytes() == damaged


def test_records_behind_a_damaged_length_are_cut_off_with_a_warning(written, caplog, monkeypatch):
    monkeypatch.setattr(records, "_SEARCHED_BYTES", 40)  # a record is longer
    whole = written.read_bytes()
    written.write_bytes(struct.pack("<I", 2**31) + whole[4:])
    with journal(written) as again:
        assert not again.finished
    assert "record at 0" in caplog.text and "3 records behind it are cut off" in caplog.text
    assert written.read_bytes() == b""


@pytest.mark.parametrize("place", [0, 40, -1])
def test_of_another_runs_journal_the_records_before_a_bad_one_count(written, tmp_path, place):
    data = bytearray(written.read_bytes())
    data[place] ^= 1
    written.write_bytes(data)
    with journal(tmp_path / "own.bin", others=[written]) as own:
        assert sorted(own.finished) == ([0, 1, 2] if place < 0 else [])
    assert written.read_bytes() == data


@pytest.mark.parametrize("shard", [10, 2**63, 2**64 - 1])
def test_a_record_of_a_shard_that_does_not_exist_is_refused(tmp_path, little_memory, shard):
    (tmp_path / "journal.bin").write_bytes(record(shard))
    with pytest.raises(CorruptStoreError, match=f"there is no shard {shard}"):
        journal(tmp_path / "journal.bin")


BODIES = {
    "nothing": b"",
    "no frame": b"no frame",
    "no length": FRAME + bytes(9),
    "10**13 bytes": FRAME + b"\xe0" + struct.pack("<Q", 10**13) + b"\x01\0\0",
    "2**31 bytes": FRAME + b"\xa0" + struct.pack("<I", 2**31) + b"\x01\0\0",
    "an endless length": zstd.compress(b'{"sha256": "", "bytes": 1e400, "rows": 1e400}\n', 1),
}


@pytest.mark.parametrize("kind", [PackedShard, ShardResult])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_record_that_holds_no_entry_is_refused_when_it_is_read(
    tmp_path, little_memory, kind, body
):
    (tmp_path / "journal.bin").write_bytes(record(3, body) + record(4, body))
    with (
        journal(tmp_path / "journal.bin", kind) as opened,
        pytest.raises(CorruptStoreError, match="at 0"),
    ):
        opened.finished[3]
