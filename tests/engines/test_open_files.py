"""Too few files that may be open: where workers cannot start, the system's error says why."""

import errno
import os

import pytest
from joblib.externals.loky.backend import popen_loky_posix

from freqprep.engines import local


class NoPipes:
    """The module `os` where no file can be opened any more."""

    def __getattr__(self, name: str):
        return getattr(os, name)

    def pipe(self) -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_too_few_open_files_are_named_and_work_goes_on_when_there_are_more(monkeypatch):
    local._spare.end()
    with monkeypatch.context() as patch:
        patch.setattr(popen_loky_posix, "os", NoPipes())
        with pytest.raises(OSError) as raised:
            list(local.run(abs, range(3), 2))
    assert raised.value.errno == errno.EMFILE
    assert sorted(local.run(abs, range(3), 2)) == [0, 1, 2]
