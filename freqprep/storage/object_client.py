"""Clients of object stores, and named errors for what their servers answer.

obstore (Rust's object_store) signs, retries and pools connections. Its runtime belongs to the
process that used it first: in a forked child it would wait for ever, so that is refused by name.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from freqprep.errors import (
    AccessDeniedError,
    MissingPackageError,
    ObjectStoreError,
    UsageError,
)
from freqprep.storage.interruptible import interruptible
from freqprep.storage.server_errors import (
    CREDENTIALS,
    names_no_bucket,
    no_credentials,
    server_error,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES: Any = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=90),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=10),
        "base": 2,
    },
}
# Stalled answers end early; the whole request may take long, for large objects on slow lines.
_LIMITS: Any = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(minutes=10),
    "allow_http": True,  # only where an endpoint is named that is not https
}
_KEY_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SKIP_SIGNATURE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_CREDENTIALS_FILE = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
_CONFIG_FILE = ("AWS_CONFIG_FILE", "~/.aws/config")
_METADATA = ("169.254.169.254", 80)
"""Where a machine of Amazon's learns the keys of its role."""

_MOST_ANSWERS = 5
_CUT_OFF = ("body error",)
_LOST = (*_CUT_OFF, "error sending request")
_FIRST_PAUSE = 0.2

_SMALL_BODY = 2**20
_SLOWEST = 100_000
"""Bytes a second at which a large body may still be sent; the least time is a minute."""

_EXPECTED = ("AlreadyExistsError", "PreconditionError")
"""Errors of obstore that say of a condition that it does not hold."""

Result = TypeVar("Result")

_used_by: int | None = None


def client(root: str, sending: int = 0) -> ObjectStore:
    """Return the client of a bucket or web server, opened once per process.

    Parameters
    ----------
    root : str
        URL without a key: ``s3://bucket``, ``gs://bucket``, ``az://container``, ``https://host``.
    sending : int, optional
        Bytes of the body that a request sends. A stalled answer ends a request after 20 seconds;
        obstore counts the time that a body takes as well, so large ones have a time of their own.

    Returns
    -------
    ObjectStore

    Raises
    ------
    MissingPackageError
        obstore is not installed.
    UsageError
        The process was forked from one that used a client.
    ObjectStoreError
        The environment does not say enough to open it.
    """
    global _used_by
    if _used_by is None:
        _used_by = os.getpid()
    elif _used_by != os.getpid():
        raise UsageError(
            f"{root} cannot be read in a process that was forked from one that had read it",
            'start workers afresh: DataLoader(..., multiprocessing_context="spawn")',
        )
    return _opened(root, _sending_seconds(sending))


def _sending_seconds(size: int) -> int:
    """Return the most seconds for a body, doubled from a minute: few clients; 0 for a small one."""
    if size <= _SMALL_BODY:
        return 0
    doublings = max(0, math.ceil(math.log2(size / _SLOWEST / 60)))
    return 60 << doublings


def _answers(address: tuple[str, int]) -> bool:
    """Return whether a server accepts connections, within a second."""
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


@lru_cache
def _opened(root: str, sending_seconds: int) -> ObjectStore:
    # One thread moves 1.3 GB in a second; a second one costs a loader a twentieth of its time.
    os.environ.setdefault("TOKIO_WORKER_THREADS", "1")
    try:
        # The package first: two threads that import it and a module of it would each wait for the
        # other, and Python then hands one of them the unfinished package.
        import obstore  # noqa: F401
        from obstore.store import from_url
    except ImportError as error:
        raise MissingPackageError(
            f"{root} needs obstore, which cannot be imported: {error}", "pip install 'freqprep[s3]'"
        ) from None
    options: dict[str, Any] = {}
    if root.startswith("s3://") and not any(os.environ.get(name) for name in _KEY_VARIABLES):
        options = _profile(root)
    limits: Any = dict(_LIMITS)
    retries: Any = dict(_RETRIES)
    if sending_seconds:
        del limits["read_timeout"]
        limits["timeout"] = timedelta(seconds=sending_seconds)
        retries["retry_timeout"] += limits["timeout"]
    with named_errors(root):
        opened: ObjectStore = from_url(root, client_options=limits, retry_config=retries, **options)
    return opened


def _is_file(variable: str, default: str) -> bool:
    return Path(os.environ.get(variable, default)).expanduser().is_file()


def _profile(root: str) -> dict[str, Any]:
    """Return the credentials of a profile in the user's configuration of AWS, if there is one.

    Raises
    ------
    AccessDeniedError
        There is none, and this machine has no role either.
    """
    named = bool(os.environ.get("AWS_PROFILE")) or _is_file(*_CREDENTIALS_FILE)
    if named or _is_file(*_CONFIG_FILE):
        try:
            from boto3 import Session
            from obstore.auth.boto3 import Boto3CredentialProvider

            session = Session()
            if session.get_credentials() is not None:
                return {"credential_provider": Boto3CredentialProvider(session)}
        except ImportError:
            if named:  # a config alone may say no more than the region
                raise MissingPackageError(
                    f"the credentials for {root} are in a profile, which boto3 reads",
                    f"pip install boto3, or {CREDENTIALS['s3']}",
                ) from None
        except Exception as error:  # of boto3: no such profile, or one that cannot be read
            raise AccessDeniedError(
                f"the credentials for {root} cannot be had: {error}",
                f"check AWS_PROFILE and ~/.aws, or {CREDENTIALS['s3']}",
            ) from None
    if os.environ.get("AWS_ENDPOINT_URL") or not _answers(_METADATA):
        raise no_credentials(root)
    return {}


@contextlib.contextmanager
def named_errors(where: str) -> Iterator[None]:
    """Turn errors of obstore into named ones.

    Its AlreadyExistsError and PreconditionError pass: callers expect them. An object that is not
    there is FileNotFoundError, a range past an object's end EOFError.

    Parameters
    ----------
    where : str
        URL of the bucket or object, for messages.
    """
    try:
        yield
    except FileNotFoundError as error:
        if names_no_bucket(str(error)):
            raise server_error(str(error), where) from None
        raise FileNotFoundError(f"{where} does not exist") from None
    except TimeoutError:
        raise ObjectStoreError(
            f"the server of {where} does not answer", "run again; a run that can resume --resume"
        ) from None
    except Exception as error:
        kind = type(error)
        if not kind.__module__.startswith("obstore") or kind.__name__ in _EXPECTED:
            raise
        if " 416 " in str(error):
            raise EOFError(f"{where} ends before the range that was asked for") from None
        raise server_error(str(error), where) from None


def patiently(request: Callable[[], Result], once: bool = False) -> Result:
    """Make a request, and again where obstore does not: callers must not mind two of them.

    Of what reads it repeats all but lists and refusals that are cut off. What writes on a
    condition, deletes, or sends a large object in parts it makes once, even if nothing was sent or
    the answer was lost: the second may meet what the first one wrote.

    Parameters
    ----------
    request : callable
    once : bool, optional
        Whether it is one of the latter.

    Returns
    -------
    Any
        What the request returns.
    """
    lost = _LOST if once else _CUT_OFF
    for attempt in range(_MOST_ANSWERS - 1):
        try:
            return interruptible(request)
        except Exception as error:
            ours, text = not type(error).__module__.startswith("obstore"), str(error)
            if ours or not any(words in text for words in lost) or "kind: Connect" in text:
                raise
            time.sleep(_FIRST_PAUSE * 2**attempt)
    return interruptible(request)
