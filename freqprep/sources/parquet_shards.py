"""Numbers in names of Parquet files (``-00000-of-00294``): whether a split has all its files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from freqprep.errors import SourceError, some
from freqprep.sources.files import shown
from freqprep.storage.paths import AnyPath
from freqprep.text.quantities import plural

_NUMBERED = re.compile(rb"-(\d+)-of-(\d+)(?:-[0-9a-f]+)?\.\w+$")
_MOST_NAMED = 3


def check_numbers(
    split: str, paths: Sequence[bytes], folder: AnyPath, is_whole: bool
) -> tuple[str, ...]:
    """Compare the files of a split with the numbers in their names.

    Parameters
    ----------
    split : str
        Its name, for messages.
    paths : sequence of bytes
        Its files, relative to ``folder``; not empty.
    folder : Path or ObjectPath
        Folder of the source's files, for messages.
    is_whole : bool
        Whether the folder as a whole is the source, rather than files that the user chose.

    Returns
    -------
    tuple of str
        A note of files that are absent, where the user chose some.

    Raises
    ------
    SourceError
        Names state other numbers of files than each other, or one file twice, or the folder has
        not all of them.
    """
    files: dict[int, bytes] = {}
    count = _number(paths[0])[1]
    for path in paths:
        index, its = _number(path)
        if its != count:
            raise _twofold(split, paths[0], path, folder, "are not numbered alike")
        if its and files.setdefault(index, path) != path:
            raise _twofold(split, files[index], path, folder, "have the same number")
    # Some begin with 1 and end with their number.
    numbers = range(1, count + 1) if count in files and 0 not in files else range(count)
    if beyond := [path for index, path in files.items() if index not in numbers]:
        raise SourceError(
            f"{shown(beyond[0])} in {folder} is none of the {plural(count, 'file')} that its name"
            " states",
            "rename it, or name the files of the split with a pattern",
        )
    if len(files) == count:
        return ()
    absent = (f"{index:05}-of-{count:05}" for index in numbers if index not in files)
    named = list(itertools.islice(absent, _MOST_NAMED))
    more = ", ..." if count - len(files) > len(named) else ""
    message = (
        f"{split}: {count - len(files)} of {plural(count, 'file')} are absent: {some(named)}{more}"
    )
    if is_whole:
        raise SourceError(
            f"{folder}: {message}",
            f"download them, or name those to convert with a pattern: '{split}-*.parquet'",
        )
    return (message,)


def _number(path: bytes) -> tuple[int, int]:
    """Return the number of a file, and how many there are; zeros if its name states none."""
    match = _NUMBERED.search(path)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _twofold(split: str, one: bytes, two: bytes, folder: AnyPath, what: str) -> SourceError:
    return SourceError(
        f"{shown(one)} and {shown(two)} in {folder} are of the split {split}, but {what}: files of"
        " several data sets, or of one in several forms",
        "remove those of one, or name the others with a pattern",
    )
