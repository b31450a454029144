"""The judge of JPEG files, and what may never reach a decoder.

libjpeg-turbo, as simplejpeg calls it, crashes on lossless JPEGs. So a crash of this test run is a
failure of what is tested here.
"""

import io
import random
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from freqprep import images, jpeg
from freqprep.errors import ImageDefect
from freqprep.images import decode

repeatable = settings(derandomize=True, deadline=None, max_examples=250)

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
LOSSLESS_OR_HIERARCHICAL = [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF]
HEIGHT, WIDTH = 48, 64


def scene() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [120 + 90 * np.sin(x / 9 + y / 7), 120 + 80 * np.cos(y / 8 - x / 5), x + y]
    noise = np.random.default_rng(0).normal(0, 10, (HEIGHT, WIDTH, 3))
    return (np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def saved(mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(scene()).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


FILES = {
    "baseline": saved(),
    "4:4:4": saved(subsampling=0, quality=95),
    "progressive": saved(progressive=True),
    "grey": saved("L"),
    "grey progressive": saved("L", progressive=True),
    "CMYK": saved("CMYK"),
    "restarts": saved(restart_marker_blocks=2),
}


def segment(marker: int, body: bytes = b"") -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def frame(marker: int, precision: int = 8, components: int = 3) -> bytes:
    """A frame header of the scene's size, 4:4:4."""
    size = HEIGHT.to_bytes(2, "big") + WIDTH.to_bytes(2, "big")
    planes = b"".join(bytes([c, 0x11, int(c > 1)]) for c in range(1, components + 1))
    return segment(marker, bytes([precision]) + size + bytes([components]) + planes)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Header segments, and the rest from the first scan on."""
    segments, position = [], 2
    while data[position + 1] != 0xDA:
        stop = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segments.append(data[position:stop])
        position = stop
    return segments, data[position:]


def with_frame(data: bytes, marker: int) -> bytes:
    """The same file with another frame marker."""
    segments, rest = split(data)
    changed = [bytes([0xFF, marker]) + s[2:] if 0xC0 <= s[1] <= 0xC2 else s for s in segments]
    assert changed != segments or marker in (0xC0, 0xC2)
    return SOI + b"".join(changed) + rest


def reason(data: bytes) -> str | None:
    try:
        decode(data)
    except ImageDefect as error:
        assert error.reason in images.REASONS
        return error.reason
    return None


@pytest.fixture
def decoders(monkeypatch):
    """Record whatever either decoder is given."""
    given_to: list[bytes] = []

    def opened(file: io.BytesIO, *args: Any, **options: Any) -> Image.Image:
        given_to.append(file.getvalue())
        return real_open(file, *args, **options)

    def judged(data: bytes, *args: Any, **options: Any) -> np.ndarray:
        given_to.append(data)
        return real_judge(data, *args, **options)

    real_open, real_judge = Image.open, simplejpeg.decode_jpeg
    monkeypatch.setattr(Image, "open", opened)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", judged)
    return given_to


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_whole_files_pass(data, decoders):
    assert reason(data) is None
    assert len(decoders) >= 2  # the decoder and the judge


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


# --- what no decoder may be given -----------------------------------------------------------


@pytest.mark.parametrize("marker", LOSSLESS_OR_HIERARCHICAL)
@pytest.mark.parametrize("name", ["baseline", "grey", "progressive"])
def test_lossless_and_hierarchical_files_reach_no_decoder(name, marker, decoders):
    assert reason(with_frame(FILES[name], marker)) == "unsupported"
    assert decoders == []


@pytest.mark.parametrize("precision", [0, 1, 2, 12, 16, 255])
@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2, 0xC9])
def test_other_precisions_reach_no_decoder(precision, marker, decoders):
    segments, rest = split(FILES["4:4:4"])
    others = [s for s in segments if s[1] != 0xC0]
    assert reason(SOI + b"".join([*others, frame(marker, precision)]) + rest) == "unsupported"
    assert decoders == []


HIDING = {
    "nothing": b"",
    "a fill byte": b"\xff",
    "fill bytes": b"\xff" * 7,
    "stray bytes": b"stray",
    "a stuffed zero": b"\xff\x00",
    "stray bytes and fill bytes": b"\x00\x01\xff\x00\xff\xff",
    "a restart marker": b"\xff\xd3",
    "a TEM marker": b"\xff\x01",
    "a comment": segment(0xFE, b"\xff\xc0 looks like a frame"),
    "a comment that holds a frame": segment(0xFE, frame(0xC0)),
    "a segment of length 0": b"\xff\xe5\x00\x00",
    "a segment of length 1": b"\xff\xe5\x00\x01",
    "a comment of length 2": b"\xff\xfe\x00\x02",
    "a frame marker that is no frame": b"\xff\xc8\x00\x02",
}


@pytest.mark.parametrize("hiding", HIDING.values(), ids=HIDING)
def test_a_lossless_frame_cannot_hide(hiding, decoders):
    segments, rest = split(FILES["4:4:4"])
    first, *others = [s for s in segments if s[1] != 0xC0]
    for place in range(len(others) + 1):
        header = [first, *others[:place], hiding, frame(0xC3), *others[place:]]
        assert reason(SOI + b"".join(header) + rest) == "unsupported"
    assert decoders == []


@pytest.mark.parametrize("hiding", HIDING.values(), ids=HIDING)
@pytest.mark.parametrize("first", [0xC0, 0xC2])
def test_a_second_frame_is_never_decoded(first, hiding, decoders):
    # A decoder takes the first frame and fails at the second, wherever it stands.
    segments, rest = split(FILES["4:4:4"])
    others = b"".join(s for s in segments if s[1] != 0xC0)
    twice = SOI + others + frame(first) + hiding + frame(0xC3) + rest
    assert reason(twice) == "corrupt"
    decoders.clear()
    assert reason(SOI + others + frame(0xC3) + hiding + frame(first) + rest) == "unsupported"
    assert decoders == []


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey", "4:4:4"])
def test_a_lossless_frame_after_the_first_scan_is_refused_or_unread(name):
    segments, rest = split(FILES[name])
    whole = SOI + b"".join(segments) + rest
    reference = np.asarray(decode(whole).image)
    lossless = frame(0xC3) + segment(0xDA, b"\x03\x01\x00\x02\x11\x03\x11\x01\x00\x00") + b"\x12"
    inside = whole[: len(whole) // 2] + lossless + whole[len(whole) // 2 :]
    at_the_end = whole[:-2] + lossless + EOI
    assert reason(inside) == reason(at_the_end) == "corrupt"
    after = whole + SOI + lossless + EOI
    np.testing.assert_array_equal(np.asarray(decode(after).image), reference)


def test_a_lossless_frame_after_an_early_end_is_not_read(decoders):
    segments, rest = split(FILES["4:4:4"])
    header = b"".join(segments)
    assert reason(SOI + EOI + header + rest) == "corrupt"
    assert reason(SOI + EOI + frame(0xC3) + rest) == "corrupt"
    assert decoders == []


def test_a_thumbnail_or_a_second_picture_decides_nothing():
    segments, rest = split(FILES["4:4:4"])
    lossless = SOI + frame(0xC3) + rest
    inside = SOI + segment(0xE1, b"Exif\0\0" + lossless[:4000]) + b"".join(segments) + rest
    assert reason(inside) is None
    assert reason(FILES["4:4:4"] + lossless) is None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        segment(0xDB, b"\x00" + bytes(64)),
        segment(0xC0),
        segment(0xC0, b"\x08\x00\x10"),
        b"\xff\xc0",
        b"\xff" * 40,
    ],
)
def test_a_header_without_a_frame_is_refused(header, decoders):
    _, rest = split(FILES["baseline"])
    for end in (rest, b"", EOI):
        assert reason(SOI + header + b"\xff\xdb\x00\x02" + end) == "corrupt"
    assert decoders == []


POOL = [
    *[s for data in FILES.values() for s in split(data)[0]],
    *[frame(marker) for marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCB)],
    *[frame(marker, components=1) for marker in (0xC0, 0xC3)],
    frame(0xC1, precision=12),
    *HIDING.values(),
]
edits = st.lists(
    st.tuples(
        st.sampled_from(["insert", "drop", "mark", "byte", "cut"]),
        st.integers(0, 60),
        st.sampled_from(POOL),
        st.integers(0, 255),
    ),
    max_size=6,
)


def first_frames(data: bytes) -> set[int]:
    """Markers of the frames that a decoder could take to be the first, in a careless reading."""
    return {data[i + 1] for i in range(2, len(data) - 1) if data[i] == 0xFF} & {
        *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0),
    }  # fmt: skip


@repeatable
@given(st.sampled_from(list(FILES.values())), edits)
def test_no_rearranged_header_crashes_a_decoder(data, changes):
    segments, rest = split(data)
    for change, place, other, value in changes:
        place %= len(segments) + 1
        if change == "insert":
            segments.insert(place, other)
        elif place < len(segments) and change == "drop":
            segments.pop(place)
        elif place < len(segments) and len(segments[place]) > 2:
            edited = bytearray(segments[place])
            if change == "mark":
                edited[1] = 0xC0 + value % 32
            elif change == "byte":
                edited[value % len(edited)] = value
            else:
                del edited[value % len(edited) :]
            segments[place] = bytes(edited)
    mixed = SOI + b"".join(segments) + rest
    if reason(mixed) is None:
        assert first_frames(mixed) & {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}


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
    reference = np.asarray(decode(FILES[name]).image)
    for place in (1, len(segments)):  # after JFIF's own segment; before the scan
        noisy = SOI + b"".join([*segments[:place], noise, *segments[place:]]) + rest
        np.testing.assert_array_equal(np.asarray(decode(noisy).image), reference)


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey"])
def test_damage_is_seen_behind_noise_in_the_header(name):
    segments, rest = split(FILES[name])
    noisy = SOI + b"".join([segments[0], b"noise", *segments[1:]])
    assert reason(noisy + rest[: len(rest) // 2] + EOI) == "corrupt"


@pytest.mark.parametrize("name", FILES)
def test_bytes_after_the_end_are_passed_over(name):
    reference = np.asarray(decode(FILES[name]).image)
    for tail in (b"\0" * 1000, b"trailing", FILES["baseline"]):
        np.testing.assert_array_equal(np.asarray(decode(FILES[name] + tail).image), reference)


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


def test_a_file_of_too_many_scans_is_refused(decoders):
    assert reason(many_scans(jpeg.MAX_SCANS)) == "too_large"
    assert len(decoders) == 1  # opened for its size, never loaded or judged


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
