"""Files to be written: what is refused before the work."""

import os

import pytest

from freqprep.errors import UsageError
from freqprep.store.targets import check_targets


def test_what_is_there_is_refused_unless_it_is_to_be_replaced(tmp_path):
    old, link = tmp_path / "old", tmp_path / "link"
    old.write_text("kept")
    link.symlink_to(tmp_path / "nowhere")
    for paths, message in (([old], "old already exists"), ([link], "link already exists")):
        with pytest.raises(UsageError, match=f"{message}; --overwrite replaces it"):
            check_targets([None, *paths, tmp_path / "new"], overwrite=False)
    with pytest.raises(UsageError, match="already exist; --overwrite replaces them"):
        check_targets([old, link], overwrite=False)
    check_targets([old, link, tmp_path / "new", None], overwrite=True)
    check_targets([], overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_cannot_be_written_is_refused_at_any_rate(tmp_path, overwrite):
    for path in (tmp_path, "/dev/null", ""):
        with pytest.raises(UsageError, match="is not a file"):
            check_targets([type(tmp_path)(path)], overwrite)
    with pytest.raises(UsageError, match="does not exist"):
        check_targets([tmp_path / "no" / "x"], overwrite)
    same = tmp_path / os.curdir / "x"
    with pytest.raises(UsageError, match="written twice"):
        check_targets([tmp_path / "x", same], overwrite)
    os.symlink(tmp_path / "x", tmp_path / "y")
    with pytest.raises(UsageError, match="written twice"):
        check_targets([tmp_path / "x", tmp_path / "y"], overwrite)
