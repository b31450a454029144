"""An unfinished split that is discarded is all there or gone, whenever a kill comes."""

import os
from pathlib import Path

import pytest

from freqprep.store.writer import PartialSplit

FILES = ("plan.json", "plan.npz", "journal.jsonl", *(f"split/coefficients/c/{n}" for n in range(3)))


class Killed(BaseException):
    pass


def unfinished(store: Path) -> PartialSplit:
    partial = PartialSplit(store, "train")
    for name in FILES:
        path = partial.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    return partial


def killed_at(monkeypatch, step: int, partial: PartialSplit) -> bool:
    """Discard, killed before the change of this number; whether there were as many changes."""
    left = step

    def wrapped(change):
        def call(*args, **options):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return change(*args, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("unlink", "rmdir", "rename"):
            patch.setattr(os, name, wrapped(getattr(os, name)))
        try:
            partial.discard()
        except Killed:
            return True
    return False


def test_killed_at_each_step_it_can_be_resumed_whole_or_is_gone(tmp_path, monkeypatch):
    for step in range(100):
        partial = unfinished(tmp_path / f"{step}.zarr")
        if not killed_at(monkeypatch, step, partial):
            assert not partial.folder.exists() and step > len(FILES)
            return
        partial.tidy()  # as every command begins
        assert partial.exists() == partial.begun() == (step == 0)
        assert partial.folder.exists() == (step == 0)
        if step == 0:
            assert all((partial.folder / name).is_file() for name in FILES)
    pytest.fail("it never ended")
