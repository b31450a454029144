"""Reading images of a bucket: what was listed, a named defect, or the end of the run."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from slow_server import Fault

from freqprep.errors import AccessDeniedError, ImageDefect, ObjectStoreError, SourceChangedError
from freqprep.ragged import Ragged
from freqprep.sources import WHOLE_FILE, read_images
from freqprep.sources.file_table import FileTable
from freqprep.storage import object_client
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import as_path

LIMIT = 1000
COUNT = 100
CONTENTS = [bytes([number]) * (number + 1) for number in range(COUNT)]


@pytest.fixture
def root(slow_server, tmp_path, monkeypatch) -> Iterator[ObjectPath]:
    """100 objects, read by a client that does not wait for long."""
    monkeypatch.setitem(object_client._LIMITS, "read_timeout", timedelta(seconds=1))
    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=9)}
    monkeypatch.setitem(object_client._RETRIES, "backoff", {**quick, "base": 2})
    object_client._opened.cache_clear()
    for number, content in enumerate(CONTENTS):
        (tmp_path / f"{number:03}").write_bytes(content)
    yield as_path(slow_server.load(tmp_path, "images"))
    object_client._opened.cache_clear()


def listed(root: ObjectPath) -> FileTable:
    names, statuses = zip(*root.statuses(), strict=True)
    length, version = np.array(statuses, np.int64).T
    paths = Ragged.of_bytes([name.encode() for name in names])
    return FileTable(paths, np.full(len(names), WHOLE_FILE), length, version)


def test_many_requests_are_in_flight_and_each_image_is_one(root, slow_server):
    table = listed(root)
    slow_server.behave(delay=0.05)
    slow_server.counts()
    assert list(read_images(root, table, LIMIT)) == CONTENTS
    counts = slow_server.counts()
    assert counts.requests == {"GET": COUNT}
    assert 16 < counts.at_once <= 32


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("503", every=3)],
        [Fault("cut", every=7, methods=("GET",))],
        [Fault("stall", times=2, methods=("GET",)), Fault("500", every=9)],
    ],
    ids=lambda faults: faults[0].what,
)
def test_what_passes_is_waited_for(root, slow_server, faults):
    table = listed(root)
    slow_server.behave(*faults)
    assert list(read_images(root, table, LIMIT)) == CONTENTS


@pytest.mark.parametrize(("what", "error"), [("403", AccessDeniedError), ("503", ObjectStoreError)])
def test_a_server_that_refuses_stops_the_run(root, slow_server, what, error):
    table = listed(root)
    slow_server.behave(Fault(what, key="050"))
    found = read_images(root, table, LIMIT)
    with pytest.raises(error, match="s3://slow/images/050"):
        list(found)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "050 .* is gone"),
        (CONTENTS[50][:-1], "050 .* has been written again"),
        (b"", "050 .* ends before byte 1"),
    ],
)
def test_an_object_that_changed_stops_the_run(root, slow_server, tmp_path, content, what):
    table = listed(root)
    if content is None:
        (root / "050").delete()
    else:
        (root / "050").write([content])
    with pytest.raises(SourceChangedError, match=what):
        list(read_images(root, table, LIMIT))


def test_defects_are_those_of_files(root, tmp_path):
    table = listed(root)
    (root / "000").write([b""])
    table.length[0], table.version[0] = (root / "000").status()
    table.length[1] = table.version[1] = 0  # was not there
    found = list(read_images(root, table, 50))
    assert found[2:50] == CONTENTS[2:50]
    defects = [one.reason for one in found if isinstance(one, ImageDefect)]
    assert defects == ["empty", "missing", *["too_large"] * 50]


def test_runs_of_an_archive_are_read(root):
    (root / "all.tar").write([b"".join(CONTENTS)])
    length, version = (root / "all.tar").status()
    lengths = np.arange(1, COUNT + 1)
    offsets = np.cumsum(lengths) - lengths
    paths = Ragged.of_bytes([b"all.tar"] * COUNT)
    table = FileTable(paths, offsets, lengths, np.full(COUNT, version))
    assert list(read_images(root, table, LIMIT)) == CONTENTS
    table.length[-1] += 1
    with pytest.raises(SourceChangedError, match=f"had {length + 1} bytes or more, now {length}"):
        list(read_images(root, table, LIMIT))
