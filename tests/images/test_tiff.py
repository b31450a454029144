"""A complaint of libtiff is the file's defect, and never a line on stderr."""

import contextlib
import io
import threading

import numpy as np
import pytest
import synthetic
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images import tiff
from freqprep.images.decode import decode


def compressed(how: str) -> bytes:
    pixels = synthetic.pixels(3, 40, 56)
    image = Image.fromarray(pixels[..., 0] > 100 if how.startswith("group") else pixels)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=how)
    return buffer.getvalue()


def strip(data: bytes) -> slice:
    """Where the first strip of a file lies."""
    tags = Image.open(io.BytesIO(data)).tag_v2
    return slice(tags[273][0], tags[273][0] + tags[279][0])


def damaged(how: str) -> bytes:
    data = compressed(how)
    where = strip(data)
    middle = (where.start + where.stop) // 2
    return data[:middle] + bytes(8) + data[middle + 8 :]


DAMAGES = {
    "tiff_lzw": "code",
    "tiff_adobe_deflate": "ZIPDecode: Decoding error at scanline 0",
    "group4": "Fax4Decode",
    "lzma": "LZMADecode",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_complaint_is_the_defect_and_not_on_stderr(capfd, how):
    assert decode(compressed(how)).size == (40, 56)
    with pytest.raises(ImageDefect, match=DAMAGES[how]) as caught:
        decode(damaged(how))
    assert caught.value.reason == "corrupt" and "tempfile" not in caught.value.detail
    assert capfd.readouterr().err == ""


def test_damage_that_pillow_hands_out_is_refused(capfd):
    data = damaged("group4")
    Image.open(io.BytesIO(data)).load()  # without an error
    assert "Fax4Decode" in capfd.readouterr().err
    with pytest.raises(ImageDefect, match="Fax4Decode"):
        decode(data)
    assert capfd.readouterr().err == ""


def test_another_handler_comes_back(capfd):
    with pytest.raises(ImageDefect):
        decode(damaged("tiff_adobe_deflate"))
    with pytest.raises(OSError):
        np.asarray(Image.open(io.BytesIO(damaged("tiff_adobe_deflate"))))
    assert "ZIPDecode" in capfd.readouterr().err


def test_threads_hear_of_their_own_files():
    whole, broken, found = compressed("tiff_lzw"), damaged("tiff_adobe_deflate"), []

    def work(data: bytes) -> None:
        for _ in range(20):
            with tiff.complaints() as said:
                with contextlib.suppress(OSError):
                    Image.open(io.BytesIO(data)).load()
                found.append((data is broken, bool(said)))

    threads = [threading.Thread(target=work, args=(data,)) for data in (whole, broken, whole)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60 and all(is_broken == heard for is_broken, heard in found)
