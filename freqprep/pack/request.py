"""The request of a packing: which splits of which store, into which store, and how."""

from __future__ import annotations

from dataclasses import dataclass

from freqprep import engines
from freqprep.arguments import check_fields
from freqprep.errors import UsageError
from freqprep.storage.paths import AnyPath, absolute, as_path, take_paths
from freqprep.store.schema import check_level
from freqprep.store.selections import ChannelsLike


@dataclass(frozen=True)
class PackRequest:
    """Store to pack, store to make, and options.

    Attributes
    ----------
    store, target : Path, ObjectPath or str
        Store to read, and store to write; not the same, nor one inside the other.
    level : int or None
        Level of zstd, 1 to 22; by default that of each split.
    channels : str, int, sequence, Selection or None
        Channels to keep, as in `freqprep.store.selections.select`; by default all that are stored.
    split : str or None
        Pack only this split; by default all finished ones.
    jobs : int or None
        Number of worker processes; one per core by default.
    engine, address : str, str or None
        Where they are; see `freqprep.engines.Workers`.
    resume, overwrite : bool
        How to treat a split that ``target`` has already; at most one of them.
    """

    store: AnyPath
    target: AnyPath
    level: int | None = None
    channels: ChannelsLike = None
    split: str | None = None
    jobs: int | None = None
    engine: str = "local"
    address: str | None = None
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        take_paths(self, as_path, "store", "target")
        check_fields(self)
        if self.resume and self.overwrite:
            raise UsageError("--resume and --overwrite are mutually exclusive", "choose one")
        _ = self.workers  # checks what work is done by
        if self.level is not None:
            check_level(self.level)
        target, store = absolute(self.target), absolute(self.store)
        if f"{target}/".startswith(f"{store.rstrip('/')}/"):
            where = "is" if target == store else "is inside"
            raise UsageError(
                f"{self.target} {where} the store to pack, {self.store}", "name a new path"
            )

    @property
    def workers(self) -> engines.Workers:
        """The worker processes."""
        return engines.Workers(self.jobs, self.engine, self.address)
