"""Objects as open files: they read as files of the same bytes do, and notice a change."""

import io
import tarfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slow_server import Fault

from freqprep.errors import ObjectStoreError, SourceChangedError, SourceError
from freqprep.sources.files import open_file, opened_status
from freqprep.storage.object_file import ObjectFile
from freqprep.storage.paths import as_path

CONTENT = np.random.default_rng(0).bytes(1000)

STEPS = st.one_of(
    st.tuples(st.just("read"), st.integers(-1, 1200)),
    st.tuples(st.just("readinto"), st.integers(0, 400)),
    st.tuples(st.just("seek"), st.integers(0, 1200)),
    st.tuples(st.just("from the end"), st.integers(-1000, 100)),
)


@pytest.fixture
def place(bucket):
    bucket.put("folder/file", CONTENT)
    return as_path(f"{bucket.url}/folder/file")


def do(file, step: str, number: int) -> object:
    if step == "readinto":
        buffer = bytearray(number)
        return file.readinto(buffer), bytes(buffer), file.tell()
    if step == "read":
        return file.read(number), file.tell()
    return file.seek(number, io.SEEK_END if step == "from the end" else io.SEEK_SET)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=12), st.sampled_from([1, 7, 100, 5000]))
def test_it_reads_as_a_file_of_the_same_bytes(place, steps, buffer_bytes):
    ours, theirs = ObjectFile(place, buffer_bytes=buffer_bytes), io.BytesIO(CONTENT)
    for step, number in steps:
        assert do(ours, step, number) == do(theirs, step, number)
    assert ours.size() == len(CONTENT)
    ours.close()
    with pytest.raises(ValueError, match="closed"):
        ours.read(1)


def test_small_reads_forward_share_requests(bucket, place):
    bucket.requests.clear()
    with ObjectFile(place, buffer_bytes=250) as file:
        assert b"".join(iter(lambda: file.read(10), b"")) == CONTENT
    assert len(bucket.requests) == 4


def test_an_empty_object_is_read(bucket):
    bucket.put("empty", b"")
    with ObjectFile(as_path(f"{bucket.url}/empty")) as file:
        assert (file.read(), file.read(5), file.size()) == (b"", b"", 0)


def test_libraries_read_from_it(bucket):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(5):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes([number]) * 700))
    bucket.put("a.tar", buffer.getvalue())
    with tarfile.open(fileobj=ObjectFile(as_path(f"{bucket.url}/a.tar"))) as tar:
        assert [tar.extractfile(info).read(1) for info in tar] == [bytes([n]) for n in range(5)]
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"number": list(range(3000)), "text": [str(n) for n in range(3000)]})
    sink = io.BytesIO()
    parquet.write_table(table, sink, row_group_size=700)
    bucket.put("a.parquet", sink.getvalue())
    with ObjectFile(as_path(f"{bucket.url}/a.parquet"), buffer_bytes=64) as file:
        read = parquet.ParquetFile(file)
        assert read.metadata.num_row_groups == 5
        assert read.read().equals(table)


@pytest.mark.parametrize("after", [b"other" * 200, CONTENT[:10], None])
def test_a_change_between_two_reads_is_named(bucket, place, after):
    with ObjectFile(place, buffer_bytes=10) as file:
        assert file.read(10) == CONTENT[:10]
        if after is None:
            bucket.delete("folder/file")
        else:
            bucket.put("folder/file", after)
        with pytest.raises(SourceChangedError, match=r"folder/file.*listed.*--overwrite"):
            file.read(10)


def test_files_of_either_kind_are_opened_alike(bucket, place, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    for root in (place.parent, tmp_path):
        with open_file(root, b"file") as file:
            status = opened_status(file)
            assert (file.read(), status.length) == (CONTENT, len(CONTENT))
        with open_file(root, b"file", status.version) as file:
            assert file.read(3) == CONTENT[:3]
        with pytest.raises(SourceChangedError, match="file is not what"):
            open_file(root, b"file", status.version + 1)
        with pytest.raises(SourceError, match=r"cannot read .*missing"):
            open_file(root, b"missing")


def test_requests_that_fail_are_repeated_or_named(slow_server, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    place = as_path(slow_server.load(tmp_path, "object_file")) / "file"
    slow_server.behave(Fault("503", times=1), Fault("cut", every=2, times=2, methods=("GET",)))
    with ObjectFile(place, buffer_bytes=300) as file:
        assert file.read(500) + file.read() == CONTENT
    slow_server.behave(Fault("whole"))
    with ObjectFile(place, buffer_bytes=300) as file, pytest.raises(ObjectStoreError):
        file.seek(10)
        file.read(5)
