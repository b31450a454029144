"""The tests' S3 server does what object stores do, and goes wrong when it is told to."""

import asyncio
import time
from datetime import timedelta

import pytest
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError
from obstore.store import S3Store
from slow_server import Fault

QUICK = {"max_retries": 5, "backoff": {"init_backoff": timedelta(milliseconds=1)}}
DATA = bytes(range(256)) * 40


@pytest.fixture
def client(slow_server):
    return S3Store(
        "slow",
        endpoint=slow_server.url,
        region="us-east-1",
        access_key_id="any",
        secret_access_key="any",
        client_options={"allow_http": True, "timeout": "1s"},
        retry_config=QUICK,
    )


def test_objects_and_ranges(client, slow_server):
    client.put("a b/ä.bin", DATA)
    assert bytes(client.get("a b/ä.bin").bytes()) == DATA
    assert client.head("a b/ä.bin")["size"] == len(DATA)
    parts = client.get_ranges("a b/ä.bin", starts=[5, 9000], lengths=[10, 30])
    assert [bytes(part) for part in parts] == [DATA[5:15], DATA[9000:9030]]
    assert bytes(client.get("a b/ä.bin", options={"range": {"suffix": 7}}).bytes()) == DATA[-7:]
    client.delete("a b/ä.bin")
    with pytest.raises(FileNotFoundError):
        client.get("a b/ä.bin")
    counts = slow_server.counts()
    assert counts.requests["PUT"] == 1 and counts.received >= len(DATA)


def test_conditions(client, slow_server):
    first = client.put("one", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        client.put("one", b"2", mode="create")
    client.put("one", b"2", mode={"e_tag": first["e_tag"]})
    with pytest.raises(PreconditionError):
        client.put("one", b"3", mode={"e_tag": first["e_tag"]})
    slow_server.behave(conditional=False)
    client.put("one", b"4", mode="create")
    assert bytes(client.get("one").bytes()) == b"4"


def test_uploads_in_parts(client, slow_server):
    data = DATA * 1400  # above 14 MB
    client.put("large", data, use_multipart=True, chunk_size=5 * 2**20)
    assert bytes(client.get("large").bytes()) == data
    assert slow_server.counts().requests == {"POST": 2, "PUT": 3, "GET": 1}


def test_lists_in_pages(client, slow_server):
    names = {f"list/{folder}/{i}" for folder in "ab" for i in range(7)} | {"list/c"}
    for name in names:
        client.put(name, name.encode())
    slow_server.behave(page=3)
    assert {one["path"] for page in client.list("list") for one in page} == names
    found = client.list_with_delimiter("list")
    assert sorted(found["common_prefixes"]) == ["list/a", "list/b"]
    assert [one["path"] for one in found["objects"]] == ["list/c"]
    client.delete(sorted(names))
    assert not [one for page in client.list("list") for one in page]


def test_faults(client, slow_server):
    client.put("one", DATA)
    slow_server.behave(Fault("503", every=2), Fault("cut", every=3))
    for _ in range(5):
        assert bytes(client.get("one").bytes()) == DATA
    slow_server.behave(Fault("stall", times=1))
    assert bytes(client.get("one").bytes()) == DATA
    slow_server.behave(Fault("403", key="^one$"))
    with pytest.raises(PermissionDeniedError):
        client.get("one")
    client.put("other", b"")


def test_a_folder_and_delays(client, slow_server, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "0").write_bytes(DATA)
    slow_server.load(tmp_path, "store")
    slow_server.behave(delay=0.05)
    slow_server.counts()

    async def all_at_once():
        return await asyncio.gather(*(client.get_async("store/c/0") for _ in range(16)))

    began = time.perf_counter()
    assert len(asyncio.run(all_at_once())) == 16
    assert time.perf_counter() - began >= 0.05
    counts = slow_server.counts()
    assert counts.requests == {"GET": 16} and counts.at_once > 1
    assert counts.sent == 16 * len(DATA)
