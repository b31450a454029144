"""Commands with a process group, a TMPDIR and, for root, a /dev/shm and disks of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import synthetic
from faults.tally import PROCESSES, SAID, SEGMENTS, Finding

MARK = "FREQPREP_FAULTS"
"""Variable by which processes of a sandbox are known, whatever their parents are."""

SECONDS_TO_END = 300.0
SECONDS_TO_DISAPPEAR = 30.0
BETWEEN_LOOKS = 0.02
_HOLD = 'mount --bind "$1" /dev/shm && echo held && exec cat'


class Ended(NamedTuple):
    """A command that has ended, however it did."""

    code: int
    out: str
    err: str


@cache
def has_mounts() -> bool:
    """Return whether commands can have mounts of their own here: as root, with util-linux."""
    try:
        tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return os.geteuid() == 0 and tried.returncode == 0


class Sandbox:
    """Folders of one trial, and the commands that run in them; a context manager.

    Attributes
    ----------
    out, tmp, shm : Path
        What commands write, their ``TMPDIR``, and what is their ``/dev/shm``.
    variables : dict of str to str
        Further ones of their environment.
    """

    def __init__(self, folder: Path, out: Path | None = None) -> None:
        self.folder, self.variables = folder, dict[str, str]()
        self.out, self.tmp, self.shm = out or folder / "out", folder / "tmp", folder / "shm"
        self._mark, self._started = secrets.token_hex(16), 0
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Sandbox:
        for folder in (self.out, self.tmp, self.shm):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
        if has_mounts():
            words = ["unshare", "--mount", "sh", "-c", _HOLD, "sh", str(self.shm)]
            pipe = subprocess.PIPE
            self._holder = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
            assert self._holder.stdout is not None
            assert self._holder.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        if self._holder is not None:
            self._holder.communicate()  # the end of its input ends it, and its mounts

    def start(
        self, *words: str | Path, before: tuple[str, ...] = (), program: str = synthetic.MAIN
    ) -> subprocess.Popen[bytes]:
        """Start a command of freqprep, behind words such as ``("prlimit", "--nofile=20")``."""
        self._started += 1
        line = [*self._inside(), *before, *synthetic.command(*words, program=program)]
        given = {MARK: self._mark, "TMPDIR": str(self.tmp), "OMP_NUM_THREADS": "1"}
        given |= self.variables
        with self._said("out", "wb") as out, self._said("err", "wb") as err:
            return subprocess.Popen(
                line, env={**os.environ, **given}, stdout=out, stderr=err, start_new_session=True
            )

    def end(self, process: subprocess.Popen[bytes], seconds: float = SECONDS_TO_END) -> Ended:
        """Wait for the command that was started last, and for all processes that it started."""
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_all()
            said = self._said("err").read().decode(errors="replace")
            raise Finding(SAID, f"no end within {seconds} s: {said[-300:]}") from None
        left = self._after(SECONDS_TO_DISAPPEAR)
        if left:
            self.kill_all()
            raise Finding(PROCESSES, f"after {SECONDS_TO_DISAPPEAR} s: {'; '.join(left)}")
        with self._said("out") as out, self._said("err") as err:
            texts = [stream.read().decode(errors="replace") for stream in (out, err)]
        if "Traceback" in texts[1]:
            raise Finding(SAID, f"a traceback: {texts[1][-1500:]}")
        return Ended(process.returncode, *texts)

    def run(
        self, *words: str | Path, before: tuple[str, ...] = (), program: str = synthetic.MAIN
    ) -> Ended:
        """Start a command and wait for its end."""
        return self.end(self.start(*words, before=before, program=program))

    def mount_disk(self, kilobytes: int) -> None:
        """Let the folder that commands write be a disk of that size."""
        self._mount("-t", "tmpfs", "-o", f"size={kilobytes}k,mode=777", "none", self.out)
        assert self._holder is not None
        self.out = Path(f"/proc/{self._holder.pid}/root{self.out}")

    def enlarge_disk(self) -> None:
        """Let a disk of `mount_disk` have room."""
        self._mount("-o", "remount,size=256m", self.inner(self.out))

    def inner(self, path: Path) -> Path:
        """Return a path as commands see it."""
        if self._holder is None:
            return path
        return Path(str(path).removeprefix(f"/proc/{self._holder.pid}/root"))

    def segments(self) -> list[str]:
        """Return the names of shared memory that is left; none where it cannot be seen apart."""
        return sorted(os.listdir(self.shm))

    def check_segments(self, when: str) -> None:
        """Raise a finding if there is shared memory, though all processes have ended."""
        if found := self.segments():
            raise Finding(SEGMENTS, f"{when}: {len(found)}, such as {found[0]}")

    def processes(self) -> list[int]:
        """Return the ids of all processes that commands have started, and that have not ended."""
        found, wanted = [], f"{MARK}={self._mark}\0".encode()
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if wanted in Path(f"/proc/{name}/environ").read_bytes() + b"\0":
                    found.append(int(name))
        return found

    def kill_all(self) -> None:
        """Kill all processes that commands have started."""
        while found := self.processes():
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(BETWEEN_LOOKS)

    def _after(self, seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        while found := self.processes():
            if time.monotonic() > until:
                return [_command_line(process) for process in found]
            time.sleep(BETWEEN_LOOKS)
        return []

    def _inside(self) -> list[str]:
        if self._holder is None:
            return []
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--"]

    def _mount(self, *words: str | Path) -> None:
        subprocess.run([*self._inside(), "mount", *words], check=True)

    def _said(self, stream: str, mode: str = "rb"):
        return open(self.folder / f"{stream}-{self._started}", mode)


def _command_line(process: int) -> str:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(process)
    return " ".join(word.decode(errors="replace")[:60] for word in words)[:200]
