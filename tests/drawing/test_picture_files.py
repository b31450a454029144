"""Pictures in the format that their name says."""

import os

import numpy as np
import pytest
from PIL import Image

from freqprep.drawing.picture_files import FORMATS, check_ending, write_picture
from freqprep.errors import UsageError

RNG = np.random.default_rng(0)
PICTURES = {
    "RGB": RNG.integers(0, 256, (9, 13, 3), np.uint8).repeat(8, 0).repeat(8, 1),
    "L": RNG.integers(0, 256, (9, 13), np.uint8).repeat(8, 0).repeat(8, 1),
}


@pytest.mark.parametrize("mode", PICTURES)
@pytest.mark.parametrize("ending", [*FORMATS, ".PNG", ".JPG"])
def test_the_file_is_what_its_name_says(tmp_path, ending, mode):
    picture, path = PICTURES[mode], tmp_path / f"a{ending}"
    write_picture(path, picture, overwrite=False)
    with Image.open(path) as image:
        assert image.format == FORMATS[ending.lower()][0]
        found = np.asarray(image.convert(mode)).astype(int)
    assert np.abs(found - picture).max() <= (6 if image.format == "JPEG" else 0)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["a", "a.gif", "a.png.txt", "png", ".png", "a."])
def test_other_endings_name_those_there_are(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.png, \.jpg, .* or \.bmp"):
        check_ending(tmp_path / name)
    with pytest.raises(UsageError):
        write_picture(tmp_path / name, PICTURES["L"], overwrite=True)
    assert os.listdir(tmp_path) == []


def test_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("old")
    with pytest.raises(FileExistsError):
        write_picture(path, PICTURES["RGB"], overwrite=False)
    assert path.read_text() == "old"
    write_picture(path, PICTURES["RGB"], overwrite=True)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), PICTURES["RGB"])
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_format_that_cannot_hold_the_picture_says_so(tmp_path):
    wide = np.zeros((1, 20_000), np.uint8)
    with pytest.raises(UsageError, match=r"20000x1 pixels cannot be written as WEBP.*use \.png"):
        write_picture(tmp_path / "a.webp", wide, overwrite=False)
    assert os.listdir(tmp_path) == []
    write_picture(tmp_path / "a.png", wide, overwrite=False)
