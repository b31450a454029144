"""The lease of a store in a bucket: one live holder, dead ones are taken over."""

import threading

import pytest

from freqprep.errors import LeaseLostError, StoreLockedError, UsageError
from freqprep.storage.paths import as_path
from freqprep.store import lease as lease_module
from freqprep.store.lease import Lease, Timing, create_alone
from freqprep.store.lock import store_lock
from freqprep.store.object_writer import PartialObjectSplit


class Clock:
    """Seconds that pass in `sleep` only, and what another process does meanwhile."""

    def __init__(self, meanwhile=lambda now: None) -> None:
        self.now, self.meanwhile = 0.0, meanwhile

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile(self.now)

    def timing(self) -> Timing:
        return Timing(clock=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def store(bucket):
    return as_path(f"{bucket.url}/some/out.zarr")


def lease(store, clock: Clock | None = None) -> Lease:
    return Lease(store.parent / "out.zarr.lock", store, (clock or Clock()).timing())


def test_a_live_holder_is_named_and_keeps_the_lease(store):
    holder = lease(store)
    holder.acquire()
    clock = Clock(lambda now: holder.confirm() if now % 16 < 2 else None)
    with pytest.raises(StoreLockedError, match=rf"writing to {store} \(process \d+ on "):
        lease(store, clock).acquire()
    assert clock.now <= 16
    holder.confirm()


def test_a_dead_holder_is_outlived_by_the_own_clock_and_then_told(store):
    dead, clock = lease(store), Clock()
    dead.acquire()
    heir = lease(store, clock)
    heir.acquire()
    assert clock.now == 60
    with pytest.raises(LeaseLostError, match=r"taken over by process \d+.*--resume"):
        dead.confirm()
    dead.release()  # of a lease that is not its own: nothing happens
    heir.confirm()
    heir.release()
    with pytest.raises(LeaseLostError, match="removed"):
        heir.confirm()


def test_of_two_that_see_the_same_dead_holder_one_takes_over(store):
    lease(store).acquire()
    first, second = lease(store), lease(store)
    looked = second._outlives

    def looked_then_overtaken(body: bytes, etag: str) -> bool:
        found = looked(body, etag)
        first.acquire()
        return found

    second._outlives = looked_then_overtaken
    with pytest.raises(StoreLockedError):
        second.acquire()
    first.confirm()


def test_a_lease_released_meanwhile_is_acquired_at_once(store):
    holder = lease(store)
    holder.acquire()
    clock = Clock(lambda now: holder.release() if now == 4 else None)
    lease(store, clock).acquire()
    assert clock.now == 4


def test_an_answer_lost_on_its_way_is_no_loss(store):
    holder = lease(store)
    holder.acquire()
    put = holder._path.replace
    # The server has the next body, and the holder does not know it.
    put(holder._body(1), holder._etag)
    holder.confirm()
    holder.confirm()


@pytest.mark.parametrize("data", [b"", b"version = 1\n", b'{"format": "other"}', b"[1]"])
def test_what_only_has_the_name_of_a_lease_is_left_alone(store, data):
    path = store.parent / "out.zarr.lock"
    path.write([data])
    with pytest.raises(UsageError, match="is not the lease"):
        lease(store).acquire()
    assert path.read_bytes() == data


def test_the_lock_is_renewed_in_the_background_and_gone_afterwards(store, bucket, monkeypatch):
    renewed = threading.Event()
    monkeypatch.setattr(lease_module, "TIMING", Timing(renewal=0.001))
    confirm = Lease.confirm

    def noting(self: Lease) -> None:
        confirm(self)
        if threading.current_thread() is not threading.main_thread():
            renewed.set()

    monkeypatch.setattr(Lease, "confirm", noting)
    with pytest.raises(KeyError), store_lock(store) as still_held:
        assert renewed.wait(60)
        still_held()
        raise KeyError
    assert bucket.keys("") == []


def test_an_object_is_put_once(store):
    path = store / "plan.json"
    create_alone(path, b"mine")
    create_alone(path, b"mine")
    with pytest.raises(LeaseLostError, match="by another command"):
        create_alone(path, b"other")
    assert path.read_bytes() == b"mine"


def test_a_split_is_begun_by_one_writer_alone(store):
    one, other = (PartialObjectSplit(store, "train", lambda: None) for _ in range(2))
    one.start()
    with pytest.raises(LeaseLostError, match="begun was written by another command"):
        other.start()
    one.discard()
    other.start()
    assert other.begun()
