"""The lease of a store in a bucket: one writer at a time, without a lock that a server releases.

The lease is the object ``<store>.lock``. Its body names the holder and has a counter, which the
holder raises at intervals by puts that fail if another process wrote the object meanwhile. A lease
whose body does not change for its time to live, by the clock of the process that looks at it, was
left by a dead process and is taken over. Clocks of different machines are never compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from freqprep.errors import (
    OUTSIDE,
    LeaseLostError,
    ObjectChangedError,
    ObjectStoreError,
    StoreError,
    StoreLockedError,
    UsageError,
)
from freqprep.progress import say
from freqprep.storage.interruptible import seconds_left
from freqprep.storage.object_path import Etag, ObjectPath
from freqprep.storage.strict_json import parse
from freqprep.store.cleanup import clean_up

_FORMAT = "freqprep-lease"


@dataclass(frozen=True)
class Timing:
    """Times of a lease in seconds, and the clock that they are measured with.

    Attributes
    ----------
    renewal : float
        Between renewals by the holder.
    life : float
        A lease that is not renewed for so long may be taken over.
    look : float
        Between looks at the lease of another process.
    clock, sleep : callable
    """

    renewal: float = 15.0
    life: float = 60.0
    look: float = 2.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


TIMING = Timing()


class Lease:
    """The lease of a store, held by this object once it is acquired.

    Parameters
    ----------
    path : ObjectPath
        The lease's object.
    store : ObjectPath
        The store, for messages.
    timing : Timing
    """

    def __init__(self, path: ObjectPath, store: ObjectPath, timing: Timing) -> None:
        self._path, self._store, self._timing = path, store, timing
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._token = secrets.token_hex(8)
        self._renewing = threading.Lock()
        self._counter = 0
        self._etag: Etag = {}

    def acquire(self) -> None:
        """Acquire the lease, and take over one that is no longer renewed.

        Raises
        ------
        StoreLockedError
            Another process holds it and is alive.
        UsageError
            An object of that name exists and is not a lease.
        ObjectStoreError
            The server ignores the conditions of puts.
        """
        while not self._acquired():
            continue
        try:
            self._check_server()
        except BaseException as error:
            self.release(error)
            raise

    def _acquired(self) -> bool:
        """Try once; False where the lease was released or acquired between two requests."""
        try:
            body, etag = self._path.read_with_etag()
            if self._outlives(body, etag):
                self._etag = etag
                self.confirm()
        except FileNotFoundError:
            try:
                self._etag = self._path.create(self._body(0))
            except FileExistsError:
                return False
        except LeaseLostError:
            raise self._locked(self._holder_now()) from None
        return True

    def _outlives(self, body: bytes, etag: Etag) -> bool:
        """Return whether the lease of another process does not change for its time to live."""
        document = _parsed(body)
        if document is None:
            raise UsageError(
                f"{self._path} exists and is not the lease of a conversion", "name another store"
            )
        holder, timing = str(document["holder"]), self._timing
        say(f"{self._store} is being written by {holder}: seeing whether it is alive")
        began = timing.clock()
        while timing.clock() - began < timing.life:
            timing.sleep(timing.look)
            if self._path.read_with_etag() != (body, etag):
                raise self._locked(self._holder_now())
        say(f"taking over the lease of {holder}, not renewed for {timing.life:.0f} s")
        return True

    def _check_server(self) -> None:
        """Refuse a server on which two commands could replace each other's lease unnoticed."""
        before = self._etag
        self.confirm()
        ignored = ""
        with contextlib.suppress(FileExistsError):
            self._path.create(self._body(-1))
            ignored = "If-None-Match"
        with contextlib.suppress(ObjectChangedError):
            self._path.replace(self._body(-2), before)
            ignored = ignored or "If-Match"
        if ignored:
            raise ObjectStoreError(
                f"the server of {self._path} ignores {ignored}: two commands could write the same"
                " store",
                "use a server with conditional puts (Amazon S3, Google, Azure, MinIO, ...), or"
                " convert into a local folder, and copy that",
            )

    def _holder_now(self) -> str:
        try:
            document = _parsed(self._path.read_with_etag()[0])
        except FileNotFoundError:
            document = None
        return "unknown process" if document is None else str(document["holder"])

    def _locked(self, holder: str) -> StoreLockedError:
        return StoreLockedError(
            f"another command is writing to {self._store} ({holder})",
            "wait for it, or stop it, and run again",
        )

    def confirm(self) -> None:
        """Renew the lease: afterwards no other process can take it over for its time to live.

        Raises
        ------
        LeaseLostError
            Another process has taken it over.
        """
        with self._one_renewal():
            body = self._body(self._counter + 1)
            try:
                self._etag = self._path.replace(body, self._etag)
            except (ObjectChangedError, FileNotFoundError):
                # The answer to an earlier attempt may have been lost on its way.
                self._etag = self._etag_of_mine()
            self._counter += 1

    @contextlib.contextmanager
    def _one_renewal(self) -> Iterator[None]:
        left = seconds_left()  # the thread that renews may be waiting for a silent server
        if not self._renewing.acquire(timeout=-1 if left is None else left):
            raise ObjectStoreError(
                f"the server of {self._path} does not answer", "run again with --resume"
            )
        try:
            yield
        finally:
            self._renewing.release()

    def _etag_of_mine(self) -> Etag:
        try:
            body, etag = self._path.read_with_etag()
        except FileNotFoundError:
            body, etag = b"", {}
        if not self._is_mine(body):
            document = _parsed(body)
            taker = "removed" if document is None else f"taken over by {document['holder']}"
            raise LeaseLostError(
                f"the lease {self._path} of {self._holder} was {taker}",
                "run again with --resume, once no other command writes to the store",
            )
        return etag

    def release(self, after: BaseException | None = None) -> None:
        """Remove the lease, unless another process has taken it over.

        If the server cannot be reached, the lease ends by itself.

        Parameters
        ----------
        after : BaseException, optional
            The error that ends the command.
        """
        if after is not None:
            clean_up(after, self._remove, f"{self._path} stays")
            return
        with contextlib.suppress(LeaseLostError, ObjectStoreError):
            self._remove()

    def _remove(self) -> None:
        self.confirm()
        self._path.delete()

    def _is_mine(self, body: bytes) -> bool:
        document = _parsed(body)
        return document is not None and document.get("token") == self._token

    def _body(self, counter: int) -> bytes:
        document = {
            "format": _FORMAT,
            "holder": self._holder,
            "token": self._token,
            "counter": counter,
        }
        return (json.dumps(document) + "\n").encode()


@contextlib.contextmanager
def held_lease(path: ObjectPath, store: ObjectPath) -> Iterator[Lease]:
    """Hold the lease of a store during a block, renewed by a thread.

    Parameters
    ----------
    path, store : ObjectPath
        See `Lease`.

    Yields
    ------
    Lease

    Raises
    ------
    StoreLockedError, UsageError, ObjectStoreError
        See `Lease.acquire`.
    """
    lease, over = Lease(path, store, TIMING), threading.Event()
    lease.acquire()
    renewal = threading.Thread(target=_renew, args=(lease, over, TIMING.renewal), daemon=True)
    renewal.start()
    try:
        with _lost_if_taken_over(lease):
            yield lease
    except BaseException as error:
        over.set()
        lease.release(error)
        raise
    over.set()
    lease.release()


@contextlib.contextmanager
def _lost_if_taken_over(lease: Lease) -> Iterator[None]:
    """Say that the lease is lost where that is why something is missing or damaged."""
    try:
        yield
    except OUTSIDE:
        raise
    except StoreError:
        with contextlib.suppress(ObjectStoreError):
            lease.confirm()
        raise


def _renew(lease: Lease, over: threading.Event, seconds: float) -> None:
    while not over.wait(seconds):
        try:
            lease.confirm()
        except LeaseLostError:  # the next `confirm` of the writer says so
            return
        except ObjectStoreError:  # the server may come back in time
            continue


def _parsed(body: bytes) -> dict[str, Any] | None:
    """Return the document of a lease; None if the bytes are not those of one."""
    try:
        document = parse(body)
        known = document["format"] == _FORMAT and isinstance(document["holder"], str)
    except (ValueError, KeyError, TypeError):
        return None
    return document if known else None


def create_alone(path: ObjectPath, data: bytes) -> None:
    """Put an object that no other process may put; one of the same bytes is this one.

    Raises
    ------
    LeaseLostError
        Another process has put other bytes.
    """
    try:
        path.create(data)
    except FileExistsError:
        raise LeaseLostError(
            f"{path} was written by another command",
            "run again with --resume, once no other command writes to the store",
        ) from None
