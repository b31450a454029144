"""Tar shards of a source, by split: as their names have it."""

from __future__ import annotations

from collections import defaultdict

from freqprep.errors import SourceError, some
from freqprep.sources.files import shown
from freqprep.sources.listing import choose_splits
from freqprep.sources.source_files import SourceFile, source_files
from freqprep.sources.split_names import normalise_split, split_word, split_words
from freqprep.storage.paths import AnyPath

_UNPACKED_BY = {
    ".gz": "gunzip",
    ".tgz": "gunzip",
    ".zst": "zstd -d",
    ".bz2": "bunzip2",
    ".xz": "unxz",
}
"""Suffix of a compressed tar -> command that unpacks it."""

_MAGIC = {
    b"\x1f\x8b": ".gz",
    b"\x28\xb5\x2f\xfd": ".zst",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
}
MAGIC_BYTES = max(map(len, _MAGIC))
"""Number of bytes that `refuse_compressed` needs."""

_SUFFIXES = (".tar", ".tgz", *(f".tar{suffix}" for suffix in _UNPACKED_BY))


def tar_files(source: AnyPath) -> list[SourceFile]:
    """List the tars of a source; see `freqprep.sources.source_files.source_files`.

    A compressed tar with the unpacked one beside it is left out.

    Raises
    ------
    SourceError
        There are none, or some are compressed: their members cannot be read one by one.
    """
    files = source_files(source, _SUFFIXES)
    names = {file.path.lower() for file in files}
    packed = {file.path: suffix for file in files if (suffix := _packed_suffix(file.path))}
    left = [path for path in packed if _unpacked(path, packed[path]) not in names]
    if left:
        raise _compressed(str(source), some(list(map(shown, left))), packed[left[0]])
    return [file for file in files if file.path not in packed]


def refuse_compressed(path: bytes, head: bytes) -> None:
    """Refuse a tar that is compressed in spite of its name, by its first bytes.

    Raises
    ------
    SourceError
    """
    for magic, suffix in _MAGIC.items():
        if head.startswith(magic):
            name = shown(path)
            raise SourceError(
                f"{name} is compressed ({suffix}): its images cannot be read one by one",
                f"mv {name} {name}{suffix} and {_UNPACKED_BY[suffix]} {name}{suffix}",
            )


def _packed_suffix(path: bytes) -> str | None:
    suffix = "." + path.lower().rpartition(b".")[2].decode("latin-1")
    return suffix if suffix in _UNPACKED_BY else None


def _unpacked(path: bytes, suffix: str) -> bytes:
    stem = path.lower()[: -len(suffix)]
    return stem + b".tar" if suffix == ".tgz" else stem


def _compressed(source: str, names: str, suffix: str) -> SourceError:
    return SourceError(
        f"{source} has compressed tars, whose images cannot be read one by one: {names}",
        f"unpack each with {_UNPACKED_BY[suffix]}, and name the .tar files",
    )


def tars_by_split(
    files: list[SourceFile], wanted: str | None, source: AnyPath
) -> dict[str, tuple[str, list[SourceFile]]]:
    """Group tars by split.

    Parameters
    ----------
    files : list of SourceFile
    wanted : str or None
        Choose only this split; the name of the split if no tar has one.
    source : Path or ObjectPath
        For messages.

    Returns
    -------
    dict of str to (str, list of SourceFile)
        Name in the store -> name in the source, and its tars.

    Raises
    ------
    SourceError
        Some tars have a split's name and others have none; there is no split ``wanted``; or two
        would have one name in the store.
    """
    groups: dict[str | None, list[SourceFile]] = defaultdict(list)
    for file in files:
        groups[split_of(shown(file.path))].append(file)
    without = groups.pop(None, [])
    if not groups:
        name = wanted or "train"
        return {normalise_split(name): (name, without)}
    named = {name: tars for name, tars in groups.items() if name is not None}
    if without:
        raise SourceError(
            f"{shown(without[0].path)} in {source} is of no split, but others are of"
            f" {', '.join(sorted(named))}",
            "name the tars of one split with a pattern, such as 'train-{000..146}.tar'",
        )
    chosen = choose_splits(named, wanted, source)
    return {name: (source_name, named[source_name]) for name, source_name in chosen.items()}


def split_of(path: str) -> str | None:
    """Return the split that the path of a tar names, as it is written there; None if it has none.

    It is the one word for a split in the file's name (``imagenet1k-train-0003.tar``), or else the
    nearest folder that is called like a split.
    """
    *folders, name = path.split("/")
    found = set(split_words(name))
    if len(found) == 1:
        return found.pop()
    return next((folder for folder in reversed(folders) if split_word(folder)), None)
