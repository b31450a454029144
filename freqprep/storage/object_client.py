"""Clients of object stores, and named errors for what their servers answer.

obstore (Rust's object_store) signs, retries and pools connections. Its runtime belongs to the
process that used it first: in a forked child it would wait for ever, so that is refused by name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from freqprep.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    MissingPackageError,
    ObjectStoreError,
    UsageError,
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
# Stalled reads end early; the whole request may take long, for large objects on slow lines.
_LIMITS: Any = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(minutes=10),
    "allow_http": True,  # only where an endpoint is named that is not https
}
_KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public"
    " bucket; AWS_ENDPOINT_URL and AWS_REGION if it is not Amazon's",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}

_MOST_ANSWERS = 5

Result = TypeVar("Result")

_used_by: int | None = None


def client(root: str) -> ObjectStore:
    """Return the client of a bucket or web server, opened once per process.

    Parameters
    ----------
    root : str
        URL without a key: ``s3://bucket``, ``gs://bucket``, ``az://container``, ``https://host``.

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
    return _opened(root)


@lru_cache
def _opened(root: str) -> ObjectStore:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise MissingPackageError(
            f"{root} needs obstore, which cannot be imported: {error}", "pip install 'freqprep[s3]'"
        ) from None
    options: dict[str, Any] = {}
    if root.startswith("s3://") and not any(os.environ.get(name) for name in _KEY_VARIABLES):
        options = _profile(root)
    with named_errors(root):
        opened: ObjectStore = from_url(
            root, client_options=_LIMITS, retry_config=_RETRIES, **options
        )
    return opened


def _profile(root: str) -> dict[str, Any]:
    """Return the credentials of a profile in the user's configuration of AWS, if there is one."""
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
    if not (os.environ.get("AWS_PROFILE") or Path(file).expanduser().is_file()):
        return {}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise MissingPackageError(
            f"the credentials for {root} are in a profile, which boto3 reads",
            f"pip install boto3, or {_CREDENTIALS['s3']}",
        ) from None
    return {"credential_provider": Boto3CredentialProvider()}


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
        if "NoSuchBucket" not in str(error) and "ContainerNotFound" not in str(error):
            raise FileNotFoundError(f"{where} does not exist") from None
        raise _no_bucket(where) from None
    except Exception as error:
        if not _of_obstore(error) or type(error).__name__ in _EXPECTED:
            raise
        if " 416 " in str(error):
            raise EOFError(f"{where} ends before the range that was asked for") from None
        raise _named(error, where) from None


def patiently(request: Callable[[], Result]) -> Result:
    """Make a request that changes nothing if it is made twice, again if its answer is cut off.

    obstore retries requests and the bodies of objects, but not lists and refusals that are cut off.
    """
    for _ in range(_MOST_ANSWERS - 1):
        try:
            return request()
        except Exception as error:
            if not (_of_obstore(error) and "body error" in str(error)):
                raise
    return request()


_EXPECTED = ("AlreadyExistsError", "PreconditionError")


def _of_obstore(error: Exception) -> bool:
    return type(error).__module__.startswith("obstore")


def _no_bucket(where: str) -> BucketNotFoundError:
    bucket = "/".join(where.split("/")[:3])
    return BucketNotFoundError(
        f"there is no bucket {bucket}",
        "check its name, region and AWS_ENDPOINT_URL; freqprep does not make buckets",
    )


def _named(error: Exception, where: str) -> ObjectStoreError:
    text = str(error)
    said = text.split("\n\nDebug source")[0].replace("\n", " ")[:300]
    scheme = where.split(":")[0]
    if "RequestTimeTooSkewed" in text:
        return AccessDeniedError(
            f"the server of {where} refuses this machine's clock, which differs from its own",
            "set the clock (timedatectl set-ntp true), and run again",
        )
    if "169.254.169.254" in text or "metadata" in text.lower() or "Account must be" in text:
        return AccessDeniedError(
            f"no credentials for {where} were found", _CREDENTIALS.get(scheme, "")
        )
    if "NoSuchBucket" in text or "ContainerNotFound" in text:
        return _no_bucket(where)
    denied = type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError")
    if denied or " 403 " in text or " 401 " in text:
        return AccessDeniedError(
            f"the server refuses access to {where}: {said}",
            "check the key's rights to this bucket and key"
            + (f"; {_CREDENTIALS[scheme]}" if scheme in _CREDENTIALS else ""),
        )
    if "kind: Connect" in text:
        return ObjectStoreError(
            f"no connection to the server of {where}: {said}",
            "check the network and, if the server is not the provider's own, AWS_ENDPOINT_URL",
        )
    return ObjectStoreError(f"{where}: {said}", "run again; a run that can resume with --resume")
