"""The components that come out of a JPEG are its own, to the bit those that Pillow decodes."""

import io
from pathlib import Path

import jpeg_parts
import numpy as np
import pytest
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images.decode import decode
from freqprep.spectrum.color import rgb_to_ycbcr

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
FOLDERS = ["imagenet/train", "flowers17/val", "coco/val2017"]
IMAGES_A_FOLDER = 60
COLOURS = np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8)


def by_pillow(data: bytes) -> np.ndarray:
    """YCbCr as libjpeg has it, before any conversion; grey as one plane."""
    image = Image.open(io.BytesIO(data))
    if image.mode == "RGB":
        image.draft("YCbCr", None)
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


@pytest.mark.parametrize("folder", FOLDERS)
def test_real_photographs(folder):
    if not (DATA / folder).is_dir():
        pytest.skip(f"needs real images in {DATA / folder}")
    files = [path for path in sorted((DATA / folder).rglob("*")) if path.is_file()]
    for path in files[:: -(-len(files) // IMAGES_A_FOLDER)]:
        data = path.read_bytes()
        np.testing.assert_array_equal(decode(data).pixels, by_pillow(data), err_msg=path.name)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("shape", [(45, 61), (1, 1), (8, 8), (17, 3)])
def test_every_sampling(shape, subsampling, progressive):
    buffer = io.BytesIO()
    Image.fromarray(COLOURS[: shape[0], : shape[1]]).save(
        buffer, "JPEG", quality=90, subsampling=subsampling, progressive=progressive
    )
    data = buffer.getvalue()
    np.testing.assert_array_equal(decode(data).pixels, by_pillow(data))


def test_grey():
    buffer = io.BytesIO()
    Image.fromarray(COLOURS[..., 0]).save(buffer, "JPEG")
    data = buffer.getvalue()
    np.testing.assert_array_equal(decode(data).pixels, by_pillow(data))


def test_rgb_components_are_converted():
    buffer = io.BytesIO()
    Image.fromarray(COLOURS).save(buffer, "JPEG", quality=95, keep_rgb=True)
    rgb = np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    np.testing.assert_array_equal(decode(buffer.getvalue()).pixels, rgb_to_ycbcr(rgb))


def test_a_jfif_segment_makes_components_ycbcr_whatever_adobe_says():
    buffer = io.BytesIO()
    Image.fromarray(COLOURS).save(buffer, "JPEG")
    plain = buffer.getvalue()
    adobe_rgb = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    after_jfif = 2 + 2 + int.from_bytes(plain[4:6], "big")
    data = plain[:after_jfif] + adobe_rgb + plain[after_jfif:]
    np.testing.assert_array_equal(decode(data).pixels, by_pillow(plain))


def not_interleaved(planes: list[np.ndarray]) -> bytes:
    """A JPEG of three components, each in a scan of its own; only as many scans as planes."""
    parts = []
    for plane in planes:
        buffer = io.BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG", quality=90)
        parts.append(jpeg_parts.split(buffer.getvalue()))
    frame_start = b"\xff\xc0"
    tables = [part for part in parts[0][0] if not part.startswith(frame_start)]
    (frame,) = (part for part in parts[0][0] if part.startswith(frame_start))
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    scans = b""
    for number, (_, rest) in enumerate(parts, start=1):
        length = 2 + int.from_bytes(rest[2:4], "big")
        scans += jpeg_parts.segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + rest[length:-2]
    header = b"".join(tables) + jpeg_parts.segment(0xC0, frame[4:9] + b"\x03" + components)
    return b"\xff\xd8" + header + scans + b"\xff\xd9"


def test_a_component_without_a_scan_is_refused():
    planes = [np.ascontiguousarray(COLOURS[..., c]) for c in range(3)]
    whole = decode(not_interleaved(planes))
    for component, plane in enumerate(planes):
        buffer = io.BytesIO()
        Image.fromarray(plane).save(buffer, "JPEG", quality=90)
        np.testing.assert_array_equal(
            whole.pixels[..., component], decode(buffer.getvalue()).pixels[..., 0]
        )
    for scans in (1, 2):
        with pytest.raises(ImageDefect, match="no scan of component"):
            decode(not_interleaved(planes[:scans]))


@pytest.mark.parametrize("name", ["sub_cb_ne_cr.jpg", "sub_chroma_higher.jpg", "sub_441.jpg"])
def test_samplings_that_turbojpeg_has_no_name_for(name):
    path = DATA / "nasty/files" / name
    if not path.is_file():
        pytest.skip(f"needs {path}")
    np.testing.assert_array_equal(decode(path.read_bytes()).pixels, by_pillow(path.read_bytes()))


def test_a_later_app0_does_not_hide_the_jfif_segment():
    buffer = io.BytesIO()
    Image.fromarray(COLOURS).save(buffer, "JPEG")
    plain = buffer.getvalue()
    after_jfif = 2 + 2 + int.from_bytes(plain[4:6], "big")
    more = jpeg_parts.segment(0xE0, b"JFXX\0\x13" + bytes(20))
    more += jpeg_parts.segment(0xEE, b"Adobe" + bytes((0, 100, 0, 0, 0, 0, 0)))
    data = plain[:after_jfif] + more + plain[after_jfif:]
    np.testing.assert_array_equal(decode(data).pixels, by_pillow(plain))
