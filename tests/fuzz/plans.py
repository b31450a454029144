"""Mutants of unfinished splits: plans, journals, and where repaired files lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import synthetic
from fuzz import arrays, sealed
from fuzz.sources import Unwritten, coco, made, parquet

from freqprep.convert.planning import discover, files_now
from freqprep.convert.publication import append_all
from freqprep.convert.run import Request, planned
from freqprep.convert.shard_runs import images_of, shard_results
from freqprep.storage.document_hash import with_hash
from freqprep.store.journal import Journal, ShardResult
from freqprep.store.plan import SplitPlan, check_plan, load_plan
from freqprep.store.plan_files import save_files
from freqprep.store.record_journal import RecordJournal, open_journal
from freqprep.store.records import record_of


class Planned(NamedTuple):
    """A request, the folder of its unfinished split, and what that has."""

    request: Request
    folder: Path
    files: dict[str, bytes]


def seeds(folder: Path) -> list[Planned]:
    synthetic.image_folder(folder / "images", {"train": 3})
    roots = {"imagefolder": folder / "images", "coco": coco(folder)[0]}
    with contextlib.suppress(ImportError):
        roots["parquet"] = parquet(folder)[0]
    return [_planned(kind, root, folder) for kind, root in roots.items()]


def _planned(kind: str, root: Path, folder: Path) -> Planned:
    request = Request(kind=kind, source=root, store=folder / f"{kind}.zarr", size=16, jobs=1)
    with planned(request) as (partials, _, _):
        (partial,) = partials.values()
    save_files(load_plan(partial.folder).listing.files, partial.folder)
    return Planned(request, partial.folder, synthetic.contents(partial.folder))


def run(every: list[Planned], chance: random.Random, folder: Path) -> str:
    """Read a plan and convert by it."""
    one = chance.choice(every)
    files = dict(one.files)
    _change(files, chance)
    for path in one.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (one.folder / "split").mkdir()
    for name, data in files.items():
        (one.folder / name).write_bytes(data)
    check_plan(one.folder)
    plan = load_plan(one.folder)
    files_now(plan, discover(one.request), [])
    made(one.request, plan, folder)
    return "converted"


def _change(files: dict[str, bytes], chance: random.Random) -> None:
    """Change one of the files; what names another by its hash names it again."""
    (listed,) = (name for name in files if name.startswith("listed-files-"))
    content, kind = files.pop(listed), chance.random()
    if kind < 0.3:
        files["plan.json"] = sealed.document(files["plan.json"], chance)
    elif kind < 0.8:
        files["plan.npz"] = sealed.archive(files["plan.npz"], chance, _array)
        header = json.loads(files["plan.json"])
        header["rows_sha256"] = hashlib.sha256(files["plan.npz"]).hexdigest()
        files["plan.json"] = json.dumps(with_hash(header)).encode()
    else:
        content = sealed.archive(content, chance, _array)
    if kind >= 0.8 or chance.random() < 0.3:
        name = hashlib.sha256(files["plan.json"]).hexdigest()[:16]
        files[f"listed-files-{name}.npz"] = content


def _array(_name: str, content: bytes, chance: random.Random) -> bytes:
    return arrays.npy(content, chance)


class Journalled(NamedTuple):
    """A plan whose only shard is done, and its entry."""

    plan: SplitPlan
    entry: ShardResult


def _journalled(folder: Path) -> Journalled:
    (one, *_) = seeds(folder)
    plan = load_plan(one.folder)
    request, split = one.request, one.folder / "split"
    (entry,) = shard_results(plan, request.root, request.workers, split, split, range(1))
    return Journalled(plan, entry)


def journal_seeds(folder: Path) -> tuple[Journalled, bytes]:
    done = _journalled(folder)
    with Journal(folder / "seed.jsonl", ShardResult) as journal:
        journal.append(done.entry)
    return done, (folder / "seed.jsonl").read_bytes()


def journal_run(found: tuple[Journalled, bytes], chance: random.Random, folder: Path) -> str:
    """Open a journal of lines, and take its results for a split's arrays."""
    done, data = found
    path = folder / "mutant.jsonl"
    path.write_bytes(sealed.lines(data, chance))
    with open_journal(path, ShardResult, len(done.plan.listing), ()) as journal:
        return _used(done.plan, journal.finished)


def record_seeds(folder: Path) -> tuple[Journalled, bytes]:
    done = _journalled(folder)
    return done, record_of(done.entry)


def record_run(found: tuple[Journalled, bytes], chance: random.Random, folder: Path) -> str:
    """Open a journal of records, as of a large split, and take its results."""
    done, data = found
    path = folder / "mutant.bin"
    path.write_bytes(sealed.record(data, chance) + data * chance.choice((0, 0, 1)))
    with RecordJournal(path, ShardResult, 1) as journal:
        return _used(done.plan, journal.finished)


def _used(plan: SplitPlan, finished: Any) -> str:
    images_of(plan, finished)
    if len(finished) != plan.shards:
        return "no shard done"
    append_all(Unwritten(), plan, finished).to_dict()  # type: ignore[arg-type]
    return "accepted"
