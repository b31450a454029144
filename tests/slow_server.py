"""An S3 server for tests that is slow, overloaded or broken on demand, and counts its requests.

It runs as a process of its own on 127.0.0.1 (`s3_service`), keeps the objects of one bucket in
memory and takes any signature. Plain GETs and HEADs of ``<url>/slow/<key>`` work as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CONTROL = "/-/"  # no bucket: what the tests ask of the server itself


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with some requests.

    Attributes
    ----------
    what : str
        A status such as ``"503"`` or ``"403"``; ``"cut"``: half of the body, or no answer, then
        the end of the connection; ``"reset"``: the same, then its reset; ``"stall"``: the same,
        then silence; ``"whole"``: a range is ignored; ``"short"``, ``"flip"``: half of the body, or
        the body with another bit, as if it were the object's; ``"stale"``: a list as it was before
        the last objects were put.
    every : int
        Of the requests that match, every n-th one.
    times : int, optional
        Most requests that it hits; no limit by default.
    methods : tuple of str
    key : str
        Regular expression that is searched in the key.
    """

    what: str
    every: int = 1
    times: int | None = None
    methods: tuple[str, ...] = ("GET", "HEAD", "PUT", "POST", "DELETE")
    key: str = ""


@dataclass
class Counts:
    """Requests by kind (GET, HEAD, PUT, POST, DELETE, LIST), bytes of bodies, most at a time."""

    requests: dict[str, int]
    sent: int
    received: int
    at_once: int

    @property
    def total(self) -> int:
        return sum(self.requests.values())


class SlowServer:
    """Handle of a server: start it as a context manager."""

    def __enter__(self) -> SlowServer:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("s3_service.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input ends it

    def load(self, folder: Path, prefix: str) -> str:
        """Put all files of a folder into the bucket, under a prefix; return its URL."""
        self._ask("load", {"folder": str(folder), "prefix": prefix})
        return f"s3://slow/{prefix}"

    def behave(
        self, *faults: Fault, delay: float = 0.0, conditional: bool = True, page: int = 1000
    ) -> None:
        """Set the delay of each request in seconds and what goes wrong, instead of what was set.

        Parameters
        ----------
        *faults : Fault
        delay : float
            Any number of requests wait at the same time.
        conditional : bool
            Whether the conditions of a PUT are obeyed.
        page : int
            Most keys of a page of a list.
        """
        given = [asdict(fault) for fault in faults]
        ways = {"delay": delay, "conditional": conditional, "page": page, "faults": given}
        self._ask("behave", ways)

    def counts(self) -> Counts:
        """Return the counts since they were taken last."""
        return Counts(**self._ask("counts", {}))

    def objects(self) -> dict[str, str]:
        """Return all keys and the MD5 of each object."""
        found: dict[str, str] = self._ask("objects", {})
        return found

    def _ask(self, what: str, given: Mapping[str, Any]) -> Any:
        data = json.dumps(given).encode()
        with urllib.request.urlopen(f"{self.url}{CONTROL}{what}", data, timeout=60) as answer:
            return json.load(answer)
