"""Where work is done: the engine, and how many processes it has."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from freqprep.arguments import check_fields
from freqprep.engines.local import default_jobs
from freqprep.errors import UsageError, did_you_mean

ENGINES = ("local", "dask", "ray")

AnyPath = TypeVar("AnyPath")


@dataclass(frozen=True)
class Workers:
    """The worker processes of a command.

    Attributes
    ----------
    jobs : int or None
        Number of worker processes; one per core by default. A cluster with an address has its own.
    engine : {"local", "dask", "ray"}
        ``local``: processes of this machine. ``dask``, ``ray``: a cluster of that package.
    address : str or None
        Address of a running cluster's scheduler (Dask) or head (Ray). By default a cluster of
        ``jobs`` processes is started on this machine.

    Raises
    ------
    UsageError
        The values contradict each other.
    """

    jobs: int | None = None
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.engine not in ENGINES:
            remedy = f"{did_you_mean(self.engine, ENGINES)}use {', '.join(ENGINES)}"
            raise UsageError(f"unknown engine {self.engine!r}", remedy)
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"--jobs must be at least 1, got {self.jobs}")
        if self.address is not None and self.engine == "local":
            raise UsageError(
                f"--address {self.address} without a cluster", "add --engine dask or --engine ray"
            )
        if self.address is not None and self.jobs is not None:
            raise UsageError(
                f"--jobs {self.jobs} with --address {self.address}: a running cluster has its own"
                " workers",
                "leave out --jobs, or --address to start a cluster here",
            )

    @property
    def on_cluster(self) -> bool:
        """Whether the work is done by a cluster, started here or running."""
        return self.engine != "local"

    @property
    def count(self) -> int:
        """Number of worker processes; 1 for a running cluster, whose number is not known here."""
        return 1 if self.address is not None else self.jobs or default_jobs()

    def at_most(self, tasks: int) -> Workers:
        """Return local workers of which none would have nothing to do; a cluster stays as it is."""
        if self.on_cluster:
            return self
        return dataclasses.replace(self, jobs=max(1, min(self.count, tasks)))

    def path(self, path: AnyPath) -> AnyPath:
        """Return a path as workers understand it: a cluster's have another current folder."""
        return path.absolute() if self.on_cluster and isinstance(path, Path) else path

    def described(self) -> str:
        """Describe them for people: ``jobs 4``, or the cluster."""
        if self.address is not None:
            return f"workers of the {self.engine} cluster at {self.address}"
        return f"jobs {self.count}" + (f" of {self.engine}" if self.on_cluster else "")
