"""The judge of JPEG files: cut and damaged scans are refused, noise around them is not."""

import dataclasses
import io
import random

import numpy as np
import pytest
from jpeg_parts import EOI, FILES, SOI, reason, segment, split
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images import decode as images
from freqprep.images import jpeg
from freqprep.images.decode import decode


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_whole_files_pass(data):
    assert reason(data) is None


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_the_header_is_read(data):
    header = jpeg.read_header(data)
    segments, rest = split(data)
    assert data[header.scan :] == rest
    assert [(s[1], s[4:]) for s in segments] == list(header.segments)
    assert header.precision == 8
    with Image.open(io.BytesIO(data)) as image:
        assert len(header.component_ids) == len(image.getbands())
        progressive = bool(image.info.get("progressive"))
    assert header.frame == (0xC2 if progressive else 0xC0)


def test_what_is_behind_the_end_holds_no_scans():
    """The bytes of a film behind a photograph look like a hundred scans, or like a missing one."""
    data = FILES["progressive"]
    header = jpeg.read_header(data)
    pixels = 24_000_000
    jpeg.check_scans(header, data, pixels)
    scan = bytes((0xFF, 0xDA, 0, 8, 1, header.component_ids[0], 0, 0, 63, 0))
    jpeg.check_scans(header, data + scan * 1000, pixels)
    for hidden in (b"", bytes((0xFF, 0x01, 0xFF, 0xFF))):  # a marker that has no length
        before_the_end = data[:-2] + hidden + scan * 1000 + data[-2:]
        with pytest.raises(ImageDefect, match=r"[0-9]+ scans over"):
            jpeg.check_scans(header, before_the_end, pixels)


def test_a_component_is_not_found_behind_the_end():
    data = FILES["progressive"]
    header = jpeg.read_header(data)
    missing = max(header.component_ids)
    end = jpeg._scans(header, data)[1]  # the second scan begins; cut the picture there
    cut = data[:end] + EOI
    first = data[header.scan + 4 : header.scan + 12]
    behind = bytes((0xFF, 0xDA, 0, 8, 1, missing, 0, 0, 63, 0))
    if missing in first[1 : 1 + 2 * first[0] : 2]:
        header = dataclasses.replace(header, component_ids=(*header.component_ids, missing + 1))
        behind = bytes((0xFF, 0xDA, 0, 8, 1, missing + 1, 0, 0, 63, 0))
    with pytest.raises(ImageDefect, match="no scan of component"):
        jpeg.check_scans(header, cut + behind, 100)


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey", "restarts", "CMYK"])
def test_a_cut_file_is_refused_wherever_it_is_cut(name):
    data = FILES[name]
    lengths = [*range(1, len(data), 13), *range(len(data) - 24, len(data))]
    assert [length for length in lengths if reason(data[:length]) is None] == []


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey", "restarts"])
def test_a_cut_file_with_its_end_marker_put_back_is_refused(name):
    data = FILES[name]
    start = jpeg.read_header(data).scan + 16
    lengths = range(start, len(data) - 80, 37)
    assert {reason(data[:length] + EOI) for length in lengths} == {"corrupt"}


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey", "4:4:4"])
def test_a_scan_that_lost_bytes_is_mostly_refused(name):
    # A lost code can leave a stream that is valid, if wrong: nobody can tell all of them.
    data = FILES[name]
    start = jpeg.read_header(data).scan + 16
    lost = (len(data) - start) // 4
    starts = random.Random(2).sample(range(start, len(data) - lost - 2), 40)
    refused = [reason(data[:at] + data[at + lost :]) for at in starts]
    assert set(refused) <= {"corrupt", None}
    assert refused.count("corrupt") >= 38


def test_a_cut_that_pillow_loads_in_silence_is_refused():
    data = FILES["baseline"]
    damaged = data[: len(data) * 2 // 3] + EOI
    Image.open(io.BytesIO(damaged)).load()
    with pytest.raises(ImageDefect, match="premature end"):
        decode(damaged)


def test_a_progressive_file_without_its_dc_scan_is_refused():
    segments, rest = split(FILES["grey progressive"])
    second = rest.index(b"\xff\xc4", 4)  # the tables of the second scan
    assert reason(SOI + b"".join(segments) + rest[second:]) == "corrupt"


# --- noise ------------------------------------------------------------------------------------


NOISE = {
    "stray bytes": b"noise",
    "fill bytes": b"\xff\xff\xff",
    "a stuffed zero": b"\xff\x00",
    "an unknown application segment": segment(0xE7, b"hello"),
    "a comment with markers": segment(0xFE, b"\xff\xd9\xff\xda\xff\xc3"),
    "a broken colour profile": segment(0xE2, b"ICC_PROFILE\0\x05\x02rest"),
    "a broken Adobe segment": segment(0xEE, b"Adobe\0\x64"),
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("name", ["baseline", "progressive", "grey"])
def test_noise_in_the_header_is_passed_over(name, noise):
    segments, rest = split(FILES[name])
    reference = decode(FILES[name]).pixels
    for place in (1, len(segments)):  # after JFIF's own segment; before the scan
        noisy = SOI + b"".join([*segments[:place], noise, *segments[place:]]) + rest
        np.testing.assert_array_equal(decode(noisy).pixels, reference)


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey"])
def test_damage_is_seen_behind_noise_in_the_header(name):
    segments, rest = split(FILES[name])
    noisy = SOI + b"".join([segments[0], b"noise", *segments[1:]])
    assert reason(noisy + rest[: len(rest) // 2] + EOI) == "corrupt"


@pytest.mark.parametrize("name", FILES)
def test_bytes_after_the_end_are_passed_over(name):
    reference = decode(FILES[name]).pixels
    for tail in (b"\0" * 1000, b"trailing", FILES["baseline"]):
        np.testing.assert_array_equal(decode(FILES[name] + tail).pixels, reference)


def test_little_noise_before_the_end_marker_is_passed_over_and_much_is_not():
    data = FILES["baseline"]
    little, much = bytes(jpeg.TRAILER_NOISE // 2), bytes(jpeg.TRAILER_NOISE * 4)
    assert reason(data[:-2] + little + EOI) is None
    assert reason(data[:-2] + much + EOI) == "corrupt"


# --- time -------------------------------------------------------------------------------------


def many_scans(count: int) -> bytes:
    """A progressive grey file that repeats its last scan."""
    data = FILES["grey progressive"]
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + EOI


def test_a_file_of_too_many_scans_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(images, "_load_jpeg", pytest.fail)
    assert reason(many_scans(jpeg.MAX_SCANS)) == "too_large"


def test_scans_times_pixels_are_limited():
    data = FILES["progressive"]
    header = jpeg.read_header(data)
    scans = data.count(b"\xff\xda")
    jpeg.check_scans(header, data, jpeg.MAX_SCANNED_PIXELS // scans)
    with pytest.raises(ImageDefect) as error:
        jpeg.check_scans(header, data, jpeg.MAX_SCANNED_PIXELS // scans + 1)
    assert error.value.reason == "too_large"


def test_bytes_that_look_like_scans_do_not_count_in_a_file_of_one_scan():
    data = FILES["baseline"] + b"\xff\xda" * 1000
    assert reason(data) is None


def test_endless_markers_are_read_in_bounded_steps():
    assert reason(SOI + b"\xff\xd0" * 200_000) == "corrupt"
    assert reason(SOI + b"\xff" * 400_000) == "corrupt"
