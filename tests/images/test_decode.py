"""Bytes to YCbCr pixels: every mode and orientation, and a named defect for everything else."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import HEIGHT, WIDTH, as_grey, defect, picture, pixels, saved
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images import decode as images
from freqprep.images.decode import MAX_PIXELS, REASONS, decode, place_pixels
from freqprep.images.geometry import Geometry
from freqprep.spectrum.color import rgb_to_ycbcr

repeatable = settings(derandomize=True, deadline=None, max_examples=300)


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        *[("PNG", {}), ("BMP", {}), ("PPM", {}), ("JPEG2000", {}), ("WEBP", {"lossless": True})],
        *[("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
    ],
)
def test_colour_of_a_lossless_format_is_jfif_ycbcr(file_format, options):
    decoded = decode(saved(picture(), file_format, **options))
    assert decoded.pixels.shape == (HEIGHT, WIDTH, 3)
    assert (decoded.orientation, decoded.note) == (1, "")
    np.testing.assert_array_equal(pixels(decoded), rgb_to_ycbcr(picture()))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpegs_own_ycbcr_is_taken_as_it_is(subsampling, progressive):
    options = {"subsampling": subsampling, "progressive": progressive, "quality": 90}
    data = saved(picture(), "JPEG", **options)
    reference = Image.open(io.BytesIO(data))
    reference.draft("YCbCr", None)
    decoded = decode(data)
    assert decoded.pixels.shape[2] == 3
    np.testing.assert_array_equal(pixels(decoded), np.asarray(reference))


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "PPM", "TIFF", "JPEG2000"])
def test_grey_keeps_one_plane(file_format):
    grey = picture()[..., 0]
    decoded = decode(saved(grey, file_format))
    assert decoded.pixels.shape[2] == 1
    np.testing.assert_array_equal(pixels(decoded), grey)


def test_pixels_are_seen_in_their_colours():
    assert np.abs(decode(saved(picture(), "PNG")).rgb().astype(int) - picture()).max() <= 3
    grey = picture()[..., :1]
    seen = decode(saved(grey[..., 0], "PNG")).rgb()
    np.testing.assert_array_equal(seen, np.repeat(grey, 3, axis=2))


def test_a_grey_jpeg_keeps_one_plane():
    data = saved(picture()[..., 0], "JPEG")
    decoded = decode(data)
    assert decoded.pixels.shape[2] == 1
    np.testing.assert_array_equal(pixels(decoded), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "PPM", "TIFF"])
def test_one_bit_is_black_and_white(file_format):
    bits = picture()[..., 0] > 100
    decoded = decode(saved(Image.fromarray(bits), file_format))
    np.testing.assert_array_equal(pixels(decoded), bits * 255)


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "TIFF", "BMP"])
def test_a_palette_is_looked_up(file_format):
    indexed = Image.fromarray(picture()).quantize(16)
    decoded = decode(saved(indexed, file_format))
    expected = rgb_to_ycbcr(np.asarray(indexed.convert("RGB")))
    np.testing.assert_array_equal(pixels(decoded), expected)


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    part = alpha[..., None].astype(np.float64) / 255
    return colour * part + 255 * (1 - part)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "JPEG2000"])
def test_transparent_pixels_lie_over_white(file_format):
    alpha = np.tile(np.linspace(0, 255, WIDTH).round().astype(np.uint8), (HEIGHT, 1))
    decoded = decode(saved(np.dstack([picture(), alpha]), file_format))
    expected = rgb_to_ycbcr(np.rint(over_white(picture(), alpha)).astype(np.uint8))
    # Compositing rounds, and so does YCbCr.
    assert np.abs(pixels(decoded).astype(int) - expected).max() <= 2
    assert (pixels(decoded)[alpha == 0] == (255, 128, 128)).all()
    np.testing.assert_array_equal(pixels(decoded)[:, -1], rgb_to_ycbcr(picture())[:, -1])


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_transparent_grey_lies_over_white(file_format):
    alpha = np.tile(np.array([0, 255], np.uint8), (HEIGHT, WIDTH // 2))
    grey = picture()[..., 0]
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    expected = np.where(alpha == 255, grey, 255)
    np.testing.assert_array_equal(as_grey(decode(saved(image, file_format))), expected)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_transparent_value_lies_over_white(mode):
    values = np.tile(np.arange(8, dtype=np.uint8), (HEIGHT, 5))
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette([level for value in range(256) for level in (value, value, value)])
    expected = np.where(values == 3, 255, values)
    np.testing.assert_array_equal(as_grey(decode(saved(image, transparency=3))), expected)


def test_a_palette_with_alpha_lies_over_white():
    values = np.tile(np.arange(8, dtype=np.uint8), (HEIGHT, 5))
    image = Image.fromarray(values)
    image.putpalette([level for value in range(256) for level in (value, value, value)])
    image = image.convert("PA")
    image.putalpha(Image.fromarray(np.where(values == 3, 0, 255).astype(np.uint8)))
    assert image.mode == "PA"
    expected = np.where(values == 3, 255, values)
    np.testing.assert_array_equal(as_grey(decode(saved(image, "TIFF"))), expected)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_goes_through_rgb(file_format):
    flat = np.full((16, 16, 3), (200, 60, 20), np.uint8)
    options = {"quality": 100} if file_format == "JPEG" else {}
    decoded = decode(saved(Image.fromarray(flat).convert("CMYK"), file_format, **options))
    assert decoded.pixels.shape[2] == 3
    assert np.abs(pixels(decoded).astype(int) - rgb_to_ycbcr(flat)).max() <= 3


def test_an_rgb_jpeg_goes_through_rgb():
    data = saved(picture(), "JPEG", quality=95, keep_rgb=True)
    rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(pixels(decode(data)), rgb_to_ycbcr(rgb))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_divided_by_257(file_format):
    values = np.array([0, 1, 128, 129, 256, 257, 1000, 32767, 32768, 65406, 65407, 65535])
    image = Image.fromarray(np.tile(values.astype(np.uint16), (9, 1)))
    assert image.mode == "I;16"
    expected = np.floor(values / 257 + 0.5)
    decoded = decode(saved(image, file_format))
    np.testing.assert_array_equal(as_grey(decoded), np.tile(expected, (9, 1)))


def test_every_8_bit_value_survives_16_bits():
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    np.testing.assert_array_equal(as_grey(decode(saved(values * 257))), values)


@pytest.mark.parametrize("band", [1, WIDTH, 3 * WIDTH + 1, 7 * WIDTH])
def test_bands_of_rows_change_no_pixel(band, monkeypatch):
    alpha = np.tile(np.arange(0, 240, 6, dtype=np.uint8), (HEIGHT, 1))
    indexed = Image.fromarray(picture()).quantize(8)
    files = [
        *[saved(picture()), saved(np.dstack([picture(), alpha])), saved(indexed, transparency=2)],
        saved(picture()[..., 0].astype(np.uint16) * 250),
        saved(picture(), "JPEG", keep_rgb=True),
    ]
    whole = [pixels(decode(data)) for data in files]
    monkeypatch.setattr(images, "_BAND_PIXELS", band)
    for data, expected in zip(files, whole, strict=True):
        np.testing.assert_array_equal(pixels(decode(data)), expected)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_range_are_refused(dtype):
    assert defect(saved(picture()[..., 0].astype(dtype), "TIFF")).reason == "unsupported"


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation_is_taken_and_noted(file_format):
    frames = [Image.fromarray(picture() // part) for part in (1, 2, 3)]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = saved(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    decoded = decode(data)
    first = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(pixels(decoded), rgb_to_ycbcr(np.asarray(first)))
    assert decoded.note == f"first of 3 frames ({file_format})"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\0", "not_an_image"),
        (b"hello, I am text\n" * 9, "not_an_image"),
        (b"%PDF-1.7\n", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_an_image"),
        (b"\xff\xd8\xff", "corrupt"),
        (b"\xff\xd8\xff\xd9", "corrupt"),
        (b"\xff\xd8\xfe\xe0\0\x10JFIF", "corrupt"),
        (b"\x89PNG\r\n\x1a\n", "corrupt"),
        (b"GIF89a", "corrupt"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not_an_image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "not_an_image"),
    ],
)
def test_what_is_no_image_is_named(data, reason):
    assert defect(data).reason == reason


def test_the_pixel_cap_is_checked_before_decoding(monkeypatch):
    data = saved(picture())
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH)
    decode(data)
    monkeypatch.setattr(images, "MAX_PIXELS", HEIGHT * WIDTH - 1)
    monkeypatch.setattr(images, "_to_ycbcr", pytest.fail)
    assert defect(data).reason == "too_large"


def test_a_bomb_is_refused_from_its_header():
    header = bytearray(saved(np.zeros((8, 8), np.uint8), "BMP"))
    header[18:22] = (MAX_PIXELS + 1).to_bytes(4, "little")
    header[22:26] = (1).to_bytes(4, "little")
    assert defect(bytes(header)).reason == "too_large"
    header[18:22] = (2**30).to_bytes(4, "little")
    assert defect(bytes(header)).reason == "too_large"


def test_running_out_of_memory_is_a_defect(monkeypatch):
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "_to_ycbcr", exhaust)
    assert defect(saved(picture())).reason == "too_large"


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_a_cut_file_is_refused(file_format):
    rng = np.random.default_rng(5)
    data = saved(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), file_format)
    for length in range(1, len(data) - 16, 61):
        assert defect(data[:length]).reason in ("corrupt", "not_an_image")


SMALL = [
    saved(picture(), "JPEG"),
    saved(picture(), "JPEG", progressive=True),
    saved(picture(), "PNG"),
    saved(Image.fromarray(picture()).quantize(8), "PNG", transparency=1),
]


@repeatable
@given(st.sampled_from(SMALL), st.data())
def test_damage_is_decoded_or_named_and_nothing_else(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    if draw.draw(st.booleans()):
        del damaged[draw.draw(st.integers(0, len(damaged))) :]
    try:
        decoded = decode(bytes(damaged))
    except ImageDefect as error:
        assert error.reason in REASONS
    else:
        assert decoded.pixels.shape[2] in (1, 3)
        assert pixels(decoded).shape[:2] == decoded.size


def test_placing_at_full_size_changes_no_pixel():
    decoded = decode(saved(picture()))
    place = Geometry("fit", 64, None, "apply").place(*decoded.size)
    np.testing.assert_array_equal(place_pixels(decoded, place), rgb_to_ycbcr(picture()))
    grey = decode(saved(picture()[..., 0]))
    np.testing.assert_array_equal(place_pixels(grey, place), picture()[..., :1])


def test_placing_resizes_then_cuts():
    decoded = decode(saved(picture()))
    place = Geometry("crop", 16, 20, "apply").place(*decoded.size)
    decoded_image = Image.frombytes("YCbCr", (WIDTH, HEIGHT), decoded.pixels.tobytes())
    resized = decoded_image.resize((33, 20), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((8, 2, 24, 18)))
    np.testing.assert_array_equal(place_pixels(decoded, place), expected)


def test_an_image_too_elongated_to_resize_is_named():
    decoded = decode(saved(np.zeros((1, 4000), np.uint8)))
    place = Geometry("crop", 448, 512, "apply").place(*decoded.size)
    with pytest.raises(ImageDefect) as error:
        place_pixels(decoded, place)
    assert error.value.reason == "too_large"


def test_jpeg_inside_tiff_is_refused_because_its_damage_goes_unseen():
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "TIFF", compression="jpeg")
    with pytest.raises(ImageDefect) as error:
        decode(buffer.getvalue())
    assert error.value.reason == "unsupported"
