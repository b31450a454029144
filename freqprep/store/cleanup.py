"""Requests that a writer still makes of a bucket's server after an error or Ctrl-C.

The last segment of the journal is put, the object of the run and the lease are removed. The next
run does without all of that, and the server may have gone silent: so the requests after one error
have a few seconds together. What is then left is said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from freqprep.errors import LeaseLostError, ObjectStoreError
from freqprep.progress import say
from freqprep.storage.interruptible import deadline

SECONDS = 8.0
_DEADLINE = "_freqprep_cleanup_until"
_OVER = 0.0


def clean_up(error: BaseException, requests: Callable[[], None], left: str) -> None:
    """Make requests after an error, unless those made before have used up its time.

    A second Ctrl-C ends it at once: it is raised, and nothing more is asked of the server.

    Parameters
    ----------
    error : BaseException
        That ends the command; it carries the deadline from one call to the next.
    requests : callable
        Errors of the server do not pass: the first one says more.
    left : str
        What stays if they fail, for the message.
    """
    given, now = vars(error), time.monotonic()
    until = given.setdefault(_DEADLINE, _OVER if _is_second(error) else now + SECONDS)
    if now >= until:
        return
    try:
        with deadline(until):
            requests()
    except LeaseLostError:
        pass  # what is there is another command's by now
    except ObjectStoreError as unreachable:
        given[_DEADLINE] = _OVER
        say(
            f"warning: {unreachable.message}: {left}; --resume, or the same part again, goes on"
            " from there, once the lease has ended by itself, within a minute"
        )
    except KeyboardInterrupt as second:
        vars(second)[_DEADLINE] = _OVER
        raise


def _is_second(error: BaseException) -> bool:
    """Return whether a Ctrl-C came while another one was being handled."""
    return isinstance(error, KeyboardInterrupt) and isinstance(error.__context__, KeyboardInterrupt)
