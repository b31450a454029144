"""Lists of classes as editors write them; an unfinished split that a retry meets."""

import dataclasses

import pytest
import synthetic

import freqprep
from freqprep.convert.parts import plan
from freqprep.convert.request import Request, read_classes
from freqprep.convert.run import convert
from freqprep.errors import SplitExistsError


@pytest.mark.parametrize("text", ["a\nb\n", "\ufeffa\nb", "a\r\n\r\nb\r\n"])
def test_an_editors_mark_is_not_of_the_first_class(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode())
    assert read_classes(path, "imagefolder") == ("a", "b")


def test_an_unfinished_split_is_not_lost_to_a_retry(tmp_path):
    """An interrupted --overwrite, and --retry-rejected typed in place of --resume."""
    source = synthetic.image_folder(tmp_path / "source", {"train": 150}, corrupt=2)
    store = synthetic.make(source, tmp_path / "a.zarr")
    request = Request("imagefolder", source, store, size=32, jobs=1)
    plan(dataclasses.replace(request, overwrite=True))
    begun = store / ".partial-train"
    before = synthetic.digest(begun)
    with pytest.raises(SplitExistsError, match="use --resume to finish it"):
        convert(dataclasses.replace(request, retry_rejected=True))
    assert synthetic.digest(begun) == before
    assert list(freqprep.open_store(store)) == ["train"]
