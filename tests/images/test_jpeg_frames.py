"""Frames that may never reach a decoder, however they are hidden.

libjpeg-turbo, as simplejpeg calls it, crashes on lossless JPEGs. So a crash of this test run is a
failure of what is tested here.
"""

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from jpeg_parts import EOI, FILES, SOI, frame, reason, segment, split
from PIL import Image

from freqprep.images.decode import decode

repeatable = settings(derandomize=True, deadline=None, max_examples=250)

LOSSLESS_OR_HIERARCHICAL = [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF]


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
def test_whole_files_reach_the_decoder_and_the_judge(data, decoders):
    assert reason(data) is None
    assert len(decoders) >= 2


def with_frame(data: bytes, marker: int) -> bytes:
    """The same file with another frame marker."""
    segments, rest = split(data)
    changed = [bytes([0xFF, marker]) + s[2:] if 0xC0 <= s[1] <= 0xC2 else s for s in segments]
    assert changed != segments or marker in (0xC0, 0xC2)
    return SOI + b"".join(changed) + rest


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
    reference = decode(whole).pixels
    lossless = frame(0xC3) + segment(0xDA, b"\x03\x01\x00\x02\x11\x03\x11\x01\x00\x00") + b"\x12"
    inside = whole[: len(whole) // 2] + lossless + whole[len(whole) // 2 :]
    at_the_end = whole[:-2] + lossless + EOI
    assert reason(inside) == reason(at_the_end) == "corrupt"
    after = whole + SOI + lossless + EOI
    np.testing.assert_array_equal(decode(after).pixels, reference)


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
