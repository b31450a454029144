"""Damaged files of a split that are no shards: documents, arrays, and lists of shards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from freqprep import engines
from freqprep.convert.publication import append_all
from freqprep.convert.repair_shards import made_again
from freqprep.convert.stored_results import ROW_FIELDS, StoredResults
from freqprep.errors import SourceChangedError
from freqprep.storage.concurrency import for_each
from freqprep.storage.disk import FileEntry, full_disk_named
from freqprep.storage.paths import AnyPath, hash_file
from freqprep.storage.regular_file import read_regular
from freqprep.storage.strict_json import parse
from freqprep.storage.temporary import temporary_folder
from freqprep.store import shard_table
from freqprep.store.array_writer import SplitWriter
from freqprep.store.journal import ShardResult
from freqprep.store.layout import shard_name
from freqprep.store.manifest import GROUP_DOCUMENT, MOST_BYTES
from freqprep.store.plan import SplitPlan
from freqprep.store.reader import Split
from freqprep.store.repair_folder import RepairFolder
from freqprep.store.shard_table import FOLDER, part_of

_RESULTS = {
    *ROW_FIELDS,
    *(f"{name}{part}" for name in ("defect", "note") for part in ("", "_offset")),
    *("moment_total", "moment_total_squares"),
    FOLDER,
}
"""Arrays, and the folder of lists of shards, that only a conversion finds."""


def derived(split: Split, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Make files again that follow from others of the split: no source is needed.

    Documents of arrays are repeated in the split's own; lists of shards follow from the shards.

    Parameters
    ----------
    split : Split
    names : sequence of str
        Damaged files, relative to the split.

    Yields
    ------
    str, bytes
        Name and content of each file that can be made; its hash is the manifest's.
    """
    group = parse(read_regular(split.path / GROUP_DOCUMENT, MOST_BYTES))
    documents = group.get("consolidated_metadata", {}).get("metadata", {})
    for name in names:
        folder, _, file = name.partition("/")
        data = b""
        if file == GROUP_DOCUMENT and folder in documents:
            data = json.dumps(documents[folder], indent=2).encode()
        elif folder == FOLDER and file.isdecimal() and split.manifest.two_levels:
            data = _list_of_shards(split, int(file))
        if FileEntry.of(data) == split.manifest.files[name]:
            yield name, data


def _list_of_shards(split: Split, part: int) -> bytes:
    each = shard_table.SHARDS_PER_PART
    shards = range(part * each, min((part + 1) * each, split.shards))
    try:
        return part_of(list(for_each(hash_file, [split.path / shard_name(s) for s in shards])))
    except FileNotFoundError:
        return b""


def needs_images(names: Sequence[str]) -> bool:
    """Return whether files of a split have what only its images tell, not their list."""
    return not _RESULTS.isdisjoint(name.partition("/")[0] for name in names)


def converted(
    split: Split,
    plan: SplitPlan,
    root: AnyPath,
    workers: engines.Workers,
    folder: RepairFolder,
    names: Sequence[str],
) -> Iterator[tuple[str, bytes]]:
    """Make files again from the listing of the source, and from its images if need be.

    Parameters
    ----------
    split : Split
    plan : SplitPlan
        From `freqprep.convert.verify_source.listed_plan`.
    root : Path or ObjectPath
        Folder of the source's files.
    workers : Workers
    folder : RepairFolder
    names : sequence of str
        Damaged files, relative to the split.

    Yields
    ------
    str, bytes
        Name and content of each file; its hash is the manifest's.

    Raises
    ------
    SourceChangedError
        A file comes out other than it was.
    """
    results: Mapping[int, ShardResult]
    if needs_images(names):
        again = made_again(split, plan, root, workers, folder, range(split.shards))
        results = {result.shard: result for result in again}
    else:
        results = StoredResults(split, split.stored_moments)
    with temporary_folder() as made:
        with full_disk_named(made):
            writer = SplitWriter(made, plan.attributes)
            writer.finish(append_all(writer, plan, results))
        for name in names:
            path = made / name
            data = path.read_bytes() if path.is_file() else b""
            if FileEntry.of(data) != split.manifest.files[name]:
                raise SourceChangedError(
                    f"{name} of {split.path} comes out other than it was: the source has other"
                    " images, labels or annotations now",
                    "restore the source as it was, or convert again with --overwrite",
                )
            yield name, data
