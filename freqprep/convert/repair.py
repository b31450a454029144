"""Repair of a damaged store: what `freqprep.store.verify` finds is made again, to the same bytes.

Bytes replace others only if they have the hash of the manifest, so content ids stay. After each
round a store is checked again; files by which others are read come first.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from freqprep import engines
from freqprep.arguments import check_fields
from freqprep.convert.repair_arrays import converted, derived, needs_images
from freqprep.convert.repair_shards import (
    AGAIN,
    refuse_other_images,
    refuse_other_versions,
    repair_shards,
)
from freqprep.convert.verify_source import listed_plan
from freqprep.errors import (
    OUTSIDE,
    CorruptStoreError,
    FreqprepError,
    LeaseLostError,
    SourceError,
    StoreError,
    UsageError,
)
from freqprep.progress import say
from freqprep.sources import root_of
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry, full_disk_named
from freqprep.storage.paths import AnyPath, as_path, as_source, local_part, take_paths
from freqprep.store import selections
from freqprep.store.layout import root_document, shard_number
from freqprep.store.lock import store_lock
from freqprep.store.manifest import GROUP_DOCUMENT, MANIFEST, group_document
from freqprep.store.plan import SplitPlan
from freqprep.store.reader import Split
from freqprep.store.repair_folder import RepairFolder
from freqprep.store.sound_manifest import sound_manifest
from freqprep.store.verify import Problem, Verified, entry_of, verify
from freqprep.store.verify_documents import open_damaged
from freqprep.text.quantities import plural
from freqprep.text.terminal import on_one_line

Outcomes = Mapping[str, FreqprepError | None]
"""Files of a split, relative to it -> why they stay as they are; None if they were repaired."""

_LOCAL = engines.Workers()


@dataclass(frozen=True)
class RepairRequest:
    """Store to repair, and what from.

    Attributes
    ----------
    store : Path, ObjectPath or str
    source : Path, ObjectPath, str or None
        What it was converted from; None repairs what follows from the store itself.
    split : str or None
        Repair only this split.
    workers : Workers
    dry_run : bool
        Write nothing, and convert nothing: say what would be repaired.
    """

    store: AnyPath
    source: AnyPath | None = None
    split: str | None = None
    workers: engines.Workers = _LOCAL
    dry_run: bool = False

    def __post_init__(self) -> None:
        take_paths(self, as_path, "store")
        take_paths(self, as_source, "source")
        check_fields(self)


@dataclass(frozen=True)
class Repair:
    """A problem of a store, and what became of it.

    Attributes
    ----------
    problem : Problem
    error : FreqprepError or None
        Why it could not be repaired; None if it was, or would be by what a dry run can tell.
    """

    problem: Problem
    error: FreqprepError | None


@dataclass(frozen=True)
class Repaired:
    """Result of a repair.

    Attributes
    ----------
    repairs : tuple of Repair
        In the order in which they were found.
    verified : Verified
        Result of the last check, after all repairs; of a dry run of the only one.
    """

    repairs: tuple[Repair, ...]
    verified: Verified


def repair(request: RepairRequest) -> Repaired:
    """Make damaged and missing files of a store again.

    Parameters
    ----------
    request : RepairRequest

    Returns
    -------
    Repaired
        What could not be repaired is in it, and is not an error.

    Raises
    ------
    StoreError
        The path is not a store, or another command writes to it.
    UsageError
        There is no such split.
    """
    open_damaged(request.store)  # refuses what is no store before a lock is left beside it
    if request.dry_run:
        return _foreseen(request)
    repairs: dict[str, Repair] = {}
    with store_lock(request.store) as confirm, full_disk_named(local_part(request.store)):
        while True:
            verified = verify(request.store, request.workers, request.split)
            new: dict[str, Problem] = {}
            for problem in verified.problems:
                known = repairs.get(problem.where)
                if known is None:
                    new.setdefault(problem.where, problem)
                elif known.error is None:  # its bytes are right
                    repairs[problem.where] = Repair(problem, _contradiction(problem.where))
            if not new:
                return Repaired(tuple(repairs.values()), verified)
            for one in _repaired(request, confirm, list(new.values())):
                repairs[one.problem.where] = one


def _foreseen(request: RepairRequest) -> Repaired:
    """Tell what would become of the problems that one check finds; nothing is written."""
    verified = verify(request.store, request.workers, request.split)
    found = {problem.where: problem for problem in verified.problems}
    repairs: dict[str, Repair] = {}
    while left := [problem for where, problem in found.items() if where not in repairs]:
        for one in _repaired(request, lambda: None, left):
            repairs[one.problem.where] = one
    return Repaired(tuple(repairs.values()), verified)


def _repaired(
    request: RepairRequest, confirm: Callable[[], None], problems: Sequence[Problem]
) -> Iterator[Repair]:
    """Repair what one check has found, or some of it: at least one problem."""
    splits = set(open_damaged(request.store))
    by_split: defaultdict[str, dict[str, Problem]] = defaultdict(dict)
    for problem in problems:
        name, _, inside = problem.where.partition("/")
        if problem.where == GROUP_DOCUMENT:
            obstacle = None
            if not request.dry_run:
                with RepairFolder(request.store, "", confirm) as folder:
                    obstacle = folder.replace(GROUP_DOCUMENT, root_document())
            yield Repair(problem, obstacle)
        elif name == selections.FOLDER:
            yield Repair(problem, _not_from_the_source(request.store, problem.where))
        elif inside:
            by_split[name][inside] = problem
        elif name in splits:
            if not any(other.where.startswith(f"{name}/") for other in problems):
                yield Repair(problem, _contradiction(name))
        else:
            yield Repair(problem, _stray(name))
    for name, found in by_split.items():
        if request.dry_run:
            outcomes = _SplitRepair(request, name, None).repaired(list(found))
        else:
            with RepairFolder(request.store, name, confirm) as folder:
                outcomes = _SplitRepair(request, name, folder).repaired(list(found))
        for inside, error in outcomes.items():
            yield Repair(found[inside], error)


def _not_from_the_source(store: AnyPath, where: str) -> FreqprepError:
    """Return the error of what was chosen, by a person or by numbers that are not in the store."""
    name = where.removeprefix(f"{selections.FOLDER}/").partition(".")[0]
    return StoreError(
        f"{where} is not made from the source",
        f"restore it from a copy, or choose again with `freqprep stats {store} --save {name}`, for"
        " steps with --budget as well; to do without it, remove it",
    )


def _stray(where: str) -> FreqprepError:
    return StoreError(f"{where} is not a file of the store", "move it away, or remove it")


def _contradiction(where: str) -> FreqprepError:
    return CorruptStoreError(
        f"the bytes of {where} are those that were published, and contradict others", AGAIN
    )


class _SplitRepair:
    """Repair of one split.

    Parameters
    ----------
    request : RepairRequest
    name : str
    folder : RepairFolder or None
        None writes nothing, and converts nothing.
    """

    def __init__(self, request: RepairRequest, name: str, folder: RepairFolder | None) -> None:
        self._request, self._name, self._folder = request, name, folder
        self._path = request.store / name

    def repaired(self, names: Sequence[str]) -> Outcomes:
        """Repair the first of: arrays and their documents, the split's documents, shards."""
        return self._outcomes(names, lambda: self._repair_first(names))

    def _outcomes(self, names: Sequence[str], repaired: Callable[[], Outcomes]) -> Outcomes:
        """Return outcomes; if there is none but an error, it is that of all names."""
        try:
            return repaired()
        except (*OUTSIDE, LeaseLostError):
            raise
        except (SourceError, StoreError, UsageError) as error:
            return dict.fromkeys(names, error)

    def _repair_first(self, names: Sequence[str]) -> Outcomes:
        try:
            split = Split(self._path)
        except OUTSIDE:
            raise
        except StoreError:  # of its two documents
            return self._repair_documents(names)
        documents = [name for name in names if name in (MANIFEST, GROUP_DOCUMENT)]
        shards = [name for name in names if shard_number(name) is not None]
        if small := [name for name in names if name not in (*documents, *shards)]:
            return self._repair_small(split, small)
        return self._repair_documents(documents, split) or self._repair_shards(split, shards)

    def _repair_documents(self, names: Sequence[str], split: Split | None = None) -> Outcomes:
        """Repair the split's documents; in a dry run arrays' documents may be damaged as well."""
        if not names:
            return {}
        sound = sound_manifest(self._request.store, self._name)
        documents = [name for name in sound.manifest.files if name.endswith(f"/{GROUP_DOCUMENT}")]
        pairs = zip(documents, self._entries(documents), strict=True)
        damaged = {name for name, found in pairs if found != sound.manifest.files[name]}
        if split is not None:
            damaged -= {name for name, _ in derived(split, sorted(damaged))}
        if damaged:
            raise CorruptStoreError(
                f"{self._path} has neither its {GROUP_DOCUMENT} nor its {min(damaged)}", AGAIN
            )
        if self._folder is None:
            return dict.fromkeys(names)
        document = group_document(sound.manifest, sound.content_id, self._path)
        made = ((MANIFEST, sound.data), (GROUP_DOCUMENT, document))
        errors = {name: self._folder.replace(name, data) for name, data in made}
        return {name: errors.get(name) for name in names}

    def _entries(self, names: Sequence[str]) -> Iterator[FileEntry | None]:
        return for_each(entry_of, [self._path / name for name in names])

    def _repair_small(self, split: Split, names: Sequence[str]) -> Outcomes:
        outcomes: dict[str, FreqprepError | None] = dict.fromkeys(names)
        damaged = []
        for name, found in zip(names, self._entries(names), strict=True):
            if name not in split.manifest.files:
                is_folder = f"{name}/{GROUP_DOCUMENT}" in split.manifest.files
                stray = found is not None and not is_folder
                outcomes[name] = _stray(name) if stray else _contradiction(name)
            elif found == split.manifest.files[name]:
                outcomes[name] = _contradiction(name)
            else:
                damaged.append(name)
        for name, data in derived(split, tuple(damaged)):
            if self._folder is not None:
                outcomes[name] = self._folder.replace(name, data)
            damaged.remove(name)
        # Of several, those that are left when an error ends it have that error.
        outcomes.update(self._outcomes(damaged, lambda: self._convert_small(split, damaged)))
        return outcomes

    def _convert_small(self, split: Split, damaged: list[str]) -> Outcomes:
        """Make arrays from the source; what is done is removed from ``damaged``."""
        if not damaged:
            return {}
        plan = self._plan(split)
        if self._folder is None:
            again = "all its images" if needs_images(damaged) else "its list of images"
            say(f"{self._name}: {plural(len(damaged), 'file')} would be made from {again}")
            return {}
        given = split, plan, self._root, self._request.workers, self._folder
        errors = {}
        for name, data in converted(*given, tuple(damaged)):
            errors[name] = self._folder.replace(name, data)
            damaged.remove(name)
        return errors

    def _repair_shards(self, split: Split, names: Sequence[str]) -> Outcomes:
        outcomes: dict[str, FreqprepError | None] = dict.fromkeys(names)
        numbers = {number: name for name in names if (number := shard_number(name)) is not None}
        outcomes |= {name: _stray(name) for s, name in numbers.items() if s >= split.shards}
        if listed := sorted(shard for shard in numbers if shard < split.shards):
            plan = self._plan(split)
            if self._folder is None:
                with contextlib.suppress(CorruptStoreError):  # its keys: they come first
                    refuse_other_images(split, plan)
                say(f"{self._name}: {plural(len(listed), 'shard')} would be converted again")
                return outcomes
            given = split, plan, self._root, self._request.workers, self._folder
            left = repair_shards(*given, listed)
            outcomes |= {numbers[shard]: error for shard, error in left.items()}
        return outcomes

    def _plan(self, split: Split) -> SplitPlan:
        """Return the plan of the split from the source as it is now."""
        refuse_other_versions(split, self._request.store)
        if self._request.source is None:
            raise UsageError(
                f"{self._path} can only be repaired from its source", "name it with --source"
            )
        say(f"listing {on_one_line(str(self._request.source))}")
        return listed_plan(split, self._request.source, self._request.store)

    @cached_property
    def _root(self) -> AnyPath:
        assert self._request.source is not None
        return root_of(self._request.source)
