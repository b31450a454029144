"""Errors that freqprep raises on purpose.

::

    FreqprepError                    exit 1
    ├── UsageError                   exit 2   (also ValueError)
    │   ├── UnknownChannelError
    │   ├── UnknownSplitError        (also KeyError)
    │   └── SplitExistsError
    ├── SourceError                  exit 1   the images' folder, listing or annotations
    │   └── SourceChangedError
    ├── ImageDefect                  -        one file cannot be converted; recorded, never fatal
    ├── StoreError                   exit 1
    │   ├── FormatVersionError
    │   ├── ShardMissingError        (also FileNotFoundError)
    │   ├── CorruptStoreError        exit 4
    │   ├── RejectedRowError         (also LookupError)
    │   ├── StoreLockedError
    │   ├── LeaseLostError
    │   ├── DiskFullError            (also OSError)
    │   └── ObjectStoreError         the server of a bucket cannot be reached, or refuses
    │       ├── AccessDeniedError    (also PermissionError)
    │       ├── BucketNotFoundError
    │       └── ObjectChangedError
    ├── RunError                     exit 1   a training run's folder, config or checkpoint
    ├── ClusterError                 exit 1
    ├── WorkerDiedError              exit 1
    └── MissingPackageError          exit 1

An error's text says what, the value and where; ``remedy`` is the next thing to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "AccessDeniedError",
    "BucketNotFoundError",
    "ClusterError",
    "CorruptStoreError",
    "DiskFullError",
    "FormatVersionError",
    "FreqprepError",
    "ImageDefect",
    "LeaseLostError",
    "MissingPackageError",
    "ObjectChangedError",
    "ObjectStoreError",
    "RejectedRowError",
    "RunError",
    "ShardMissingError",
    "SourceChangedError",
    "SourceError",
    "SplitExistsError",
    "StoreError",
    "StoreLockedError",
    "UnknownChannelError",
    "UnknownSplitError",
    "UsageError",
    "WorkerDiedError",
]

_SHOWN = 3


def some(names: Sequence[str]) -> str:
    """List the first few of many names, for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Begin a remedy with the nearest known name: ``did you mean val? ``, or nothing."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), names, n=1)
    return f"did you mean {names[near[0]]}? " if near else ""


class FreqprepError(Exception):
    """Base class of freqprep's errors.

    Parameters
    ----------
    message : str
        What is wrong, with the value and where.
    remedy : str, optional
        What to do next: a command or a change.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[type[FreqprepError], tuple[str, str]]:
        # Errors travel from worker processes: pickle must keep message and remedy apart.
        return type(self), (self.message, self.remedy)


class UsageError(FreqprepError, ValueError):
    """The request itself cannot be met: options that contradict, or a wrong value."""

    exit_code = 2


class UnknownChannelError(UsageError):
    """A channel or selection name that does not exist; the text lists those that do."""


class UnknownSplitError(UsageError, KeyError):
    """A split that the store does not have; the text lists those it has."""


class SplitExistsError(UsageError):
    """The store already has this split, finished or not."""


class SourceError(FreqprepError):
    """The source folder, its listing or its annotations cannot be used."""


class SourceChangedError(SourceError):
    """A source file is no longer what it was when the conversion was planned."""


class ImageDefect(FreqprepError):
    """One image file cannot be converted.

    Parameters
    ----------
    reason : str
        A short fixed word for counting, one of ``freqprep.images.decode.REASONS``.
    detail : str
        What was seen in this file.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[FreqprepError], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class StoreError(FreqprepError):
    """A store cannot be opened, read or written."""


class FormatVersionError(StoreError):
    """The store's format version is not one that this freqprep reads."""


class ShardMissingError(StoreError, FileNotFoundError):
    """A shard that the manifest lists is not there."""


class CorruptStoreError(StoreError):
    """Stored bytes are not what was written."""

    exit_code = 4


class RejectedRowError(StoreError, LookupError):
    """A row whose image was rejected at conversion was asked for."""


class StoreLockedError(StoreError):
    """Another process is writing to this store."""


class LeaseLostError(StoreError):
    """Another process has begun to write a store in a bucket that this one was writing."""


class DiskFullError(StoreError, OSError):
    """The disk, or a quota on it, is full."""


class ObjectStoreError(StoreError):
    """The server of a bucket cannot be reached, or refuses a request."""


class AccessDeniedError(ObjectStoreError, PermissionError):
    """There are no credentials, or they do not allow this."""


class BucketNotFoundError(ObjectStoreError):
    """The bucket does not exist."""


class ObjectChangedError(ObjectStoreError):
    """Another process wrote an object meanwhile."""


OUTSIDE = (ObjectStoreError, DiskFullError)
"""Errors of the server or of a disk at hand: they say nothing of the files that were to be read."""


class RunError(FreqprepError):
    """A training run's folder, config or checkpoint cannot be used."""


class ClusterError(FreqprepError):
    """A cluster of workers cannot be reached, or one of them is not fit for the work."""


class WorkerDiedError(FreqprepError):
    """A worker process ended without a result (killed, or out of memory)."""


class MissingPackageError(FreqprepError):
    """An optional package that this needs is not installed; the remedy installs it."""
