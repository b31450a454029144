"""Named errors for what the servers of object stores answer, by the text of obstore's errors."""

from __future__ import annotations

import re
from dataclasses import dataclass

from freqprep.errors import AccessDeniedError, BucketNotFoundError, ObjectStoreError

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public"
    " bucket; AWS_ENDPOINT_URL and AWS_REGION if it is not Amazon's",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""How to give credentials, by scheme."""

_MOST_SHOWN = 300


@dataclass(frozen=True)
class _Answer:
    """A known answer: pattern in the text, kind of error, what it means and what to do.

    In the texts, ``{where}`` is the URL, ``{bucket}`` the bucket's, ``{said}`` what the server
    says, ``{credentials}`` how to give some.
    """

    pattern: str
    kind: type[ObjectStoreError]
    what: str
    remedy: str


_NO_BUCKET = _Answer(
    "NoSuchBucket|ContainerNotFound|The specified bucket does not exist",
    BucketNotFoundError,
    "there is no bucket {bucket}",
    "check its name, region and AWS_ENDPOINT_URL; freqprep does not make buckets",
)
_NO_CREDENTIALS = _Answer(
    r"169\.254\.169\.254|metadata\.google|Account must be",
    AccessDeniedError,
    "no credentials for {bucket} were found",
    "{credentials}",
)
_ANSWERS = (
    _NO_BUCKET,
    _NO_CREDENTIALS,
    _Answer(
        "RequestTimeTooSkewed",
        AccessDeniedError,
        "the server of {where} refuses this machine's clock, which differs from its own",
        "set the clock (timedatectl set-ntp true), and run again",
    ),
    _Answer(
        "ExpiredToken|TokenRefreshRequired",
        AccessDeniedError,
        "the credentials for {where} have expired",
        "renew them, and run again; a run that can resume with --resume",
    ),
    _Answer(
        "InvalidAccessKeyId|SignatureDoesNotMatch",
        AccessDeniedError,
        "the server of {where} does not accept the credentials: {said}",
        "{credentials}",
    ),
    _Answer(
        "lacked valid authentication credentials|External AWS credential provider",
        AccessDeniedError,
        "the credentials for {where} cannot be had: {said}",
        "sign in again (`aws sso login`), or {credentials}",
    ),
    _Answer(
        "incorrectly configured region|AuthorizationHeaderMalformed|PermanentRedirect",
        ObjectStoreError,
        "{bucket} is in another region",
        "set AWS_REGION to the region of the bucket",
    ),
    _Answer(
        "PermissionDenied| 403 | 401 ",
        AccessDeniedError,
        "the server refuses access to {where}: {said}",
        "check that the credentials may read (and, to write a store, write) this key and list the"
        " bucket: without the right to list, an object that does not exist is refused as well;"
        " {credentials}",
    ),
    _Answer(
        "Range request not supported|non-partial response",
        ObjectStoreError,
        "the server of {where} does not serve ranges of a file",
        "serve it by one that does, such as nginx, or copy it to this machine",
    ),
    _Answer(
        "invalid path",
        ObjectStoreError,
        "a key of {where} is not the path of a file: {said}",
        "rename or delete the object: empty, . and .. parts and control characters are not read",
    ),
    _Answer(
        "kind: Connect",
        ObjectStoreError,
        "no connection to the server of {where}: {said}",
        "check the network and, if the server is not the provider's own, AWS_ENDPOINT_URL",
    ),
    _Answer("", ObjectStoreError, "{where}: {said}", "run again; a run that can resume --resume"),
)


def names_no_bucket(text: str) -> bool:
    """Return whether an error says that the bucket, not an object in it, does not exist."""
    return re.search(_NO_BUCKET.pattern, text) is not None


def no_credentials(where: str) -> ObjectStoreError:
    """Return the error for a bucket that no credentials were found for."""
    return _error(_NO_CREDENTIALS, "", where)


def server_error(text: str, where: str) -> ObjectStoreError:
    """Return the named error for an error of obstore.

    Parameters
    ----------
    text : str
        Its text, which has the server's answer.
    where : str
        URL of the bucket or object.

    Returns
    -------
    ObjectStoreError
    """
    known = next(answer for answer in _ANSWERS if re.search(answer.pattern, text))
    return _error(known, text, where)


def _error(answer: _Answer, text: str, where: str) -> ObjectStoreError:
    meanings = {
        "where": where,
        "bucket": "/".join(where.split("/")[:3]),
        "said": _said(text),
        "credentials": CREDENTIALS.get(where.split(":")[0], "check the address"),
    }
    return answer.kind(answer.what.format(**meanings), answer.remedy.format(**meanings))


def _said(text: str) -> str:
    """Return the code and message of a server's answer or, without one, what obstore says."""
    code, message = (re.search(rf"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message"))
    if code is not None:
        return f"{code[1]} ({message[1]})" if message else code[1]
    first = text.split("\n\nDebug source")[0]
    return re.sub(r"\s+", " ", first)[:_MOST_SHOWN]
