"""What a power loss could take away, by the system calls of a command that ``strace`` has written.

A file is durable when it was synced after its last write, and its name when the folder was synced
after it had got the name. Nothing else is taken for granted: not the order in which a file system
writes, and not that the sync of a file syncs its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "open,openat,creat,write,pwrite64,writev,ftruncate,truncate,fsync,fdatasync,"
    "rename,renameat,renameat2,mkdir,mkdirat,link,linkat,unlink,unlinkat"
)
STRACE = ("strace", "-f", "-qq", "-y", "-s", "100", "-e", f"trace={CALLS}", "-e", "signal=none")
"""Words before a command; ``-o FILE`` is to follow."""

Concerned = Callable[[Path], bool]

_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_CALL = re.compile(r"(?P<name>\w+)\((?P<given>.*)\) += (?P<found>-?\d+)")
_OF_DESCRIPTOR = re.compile(r"\d+<(?P<path>/[^>]*)>")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_JOURNALLED = re.compile(r'\{\\"shard\\":(\d+),')


@dataclass(frozen=True)
class Call:
    """A system call that has succeeded: its name, the files concerned, and what was given."""

    name: str
    paths: tuple[Path, ...]
    given: str


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield calls in the order of their ends, those that a thread's switch has cut joined."""
    begun: dict[str, str] = {}
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue
        process, rest = found["pid"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest.removesuffix("<unfinished ...>").rstrip()
            continue
        if rest.startswith("<... "):
            rest = begun.pop(process, "") + rest.partition("resumed>")[2]
        call = _CALL.match(rest)
        if call is not None and int(call["found"]) >= 0:
            yield Call(call["name"], _paths(call["name"], call["given"]), call["given"])


def _paths(name: str, given: str) -> tuple[Path, ...]:
    if name in ("write", "pwrite64", "writev", "ftruncate", "fsync", "fdatasync"):
        found = _OF_DESCRIPTOR.match(given)
        return (Path(found["path"]),) if found else ()
    # Relative names are of folders that are open, in the order in which they are given.
    folders = [Path(path) for path in re.findall(r"(?:AT_FDCWD|\d+)<(/[^>]*)>", given)]
    names = [Path(text) for text in _NAME.findall(given)]
    if len(folders) == len(names):
        return tuple(folder / one for folder, one in zip(folders, names, strict=True))
    return tuple(folders[0] / one if folders else one for one in names)


@dataclass
class Disk:
    """What is written and not durable yet; and what was done before it should have been.

    Attributes
    ----------
    store : Path
    written : set of Path
        Files with writes since their last sync.
    named : dict of Path to set of Path
        New names in each folder since its last sync.
    shards : int
        Lines of the journal that name a shard.
    broken : list of str
        Each law that did not hold.
    """

    store: Path
    written: set[Path] = field(default_factory=set)
    named: dict[Path, set[Path]] = field(default_factory=dict)
    shards: int = 0
    published: int = 0
    broken: list[str] = field(default_factory=list)
    _there: set[Path] = field(default_factory=set)

    def replay(self, done: Iterable[Call]) -> Disk:
        """Take calls in, and check each that depends on others."""
        for call in done:
            self._take(call)
        self._check_durable("the end", self._is_kept, self._is_kept)
        return self

    def _take(self, call: Call) -> None:
        if call.name in ("fsync", "fdatasync") and call.paths:
            self.written.discard(call.paths[0])
            self.named.pop(call.paths[0], None)
        elif call.name.startswith("rename"):
            self._rename(*call.paths)
        elif call.name in ("mkdir", "mkdirat"):
            self._name(call.paths[0])
        elif call.name.startswith("link"):
            self._name(call.paths[1])
            self.written |= {call.paths[1]} if call.paths[0] in self.written else set()
        elif call.name.startswith("unlink"):
            self.written.discard(call.paths[0])
            self._there.discard(call.paths[0])
            self.named.get(call.paths[0].parent, set()).discard(call.paths[0])
        elif call.name in ("open", "openat", "creat") and "O_CREAT" in call.given:
            self._name(call.paths[0])
            self.written.add(call.paths[0])
        elif call.paths and call.name not in ("open", "openat"):
            self._before_write(call)
            self.written.add(call.paths[0])

    def _name(self, path: Path) -> None:
        if path not in self._there:
            self._there.add(path)
            self.named.setdefault(path.parent, set()).add(path)

    def _rename(self, old: Path, new: Path) -> None:
        if new.parent == self.store and new.name[:1] != "." and old.name == "split":
            self.published += 1
            self._check_durable(f"publishing {new.name}", *[lambda path: old in path.parents] * 2)
        self._there -= {new}  # another file than it was
        for paths in [self.written, self._there, *self.named.values()]:
            for path in [path for path in paths if path == old or old in path.parents]:
                paths.remove(path)
                if path != old or paths is self.written:  # its name is taken in below
                    paths.add(new / path.relative_to(old))
        for folder in [one for one in self.named if one == old or old in one.parents]:
            self.named[new / folder.relative_to(old)] = self.named.pop(folder)
        self._name(new)

    def _before_write(self, call: Call) -> None:
        """Check the shard that is named in what is written to a journal."""
        path, found = call.paths[0], _JOURNALLED.search(call.given)
        if path.name.startswith("journal") and found:
            if self.shards and path in self.written:
                self.broken.append(f"the line before that of shard {found[1]} is not synced")
            self.shards += 1
            shard = path.parent / f"split/coefficients/c/{found[1]}/0/0/0"
            what, names = f"the line of shard {found[1]}", {path, shard, *shard.parents}
            self._check_durable(what, lambda one: one == shard, names.__contains__)

    def _is_kept(self, path: Path) -> bool:
        """Return whether a path is a finished part of the store, or a folder above it."""
        if self.store in path.parents:
            return path.relative_to(self.store).parts[0][0] != "."
        return path == self.store or path in self.store.parents

    def _check_durable(self, what: str, files: Concerned, names: Concerned) -> None:
        self.broken += [f"{what}: {path} is not synced" for path in self.written if files(path)]
        new = (path for paths in self.named.values() for path in paths)
        self.broken += [f"{what}: the name {path} is not synced" for path in new if names(path)]
