"""One image to codes, against an independent path: Pillow's pixels and scipy's transform."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from freqprep.errors import ImageDefect
from freqprep.images.encoder import EncodedImage, Encoder
from freqprep.images.encoding import Encoding
from freqprep.images.geometry import Geometry
from freqprep.spectrum.channels import CHANNELS, STORED_ORDER
from freqprep.spectrum.color import rgb_to_ycbcr
from freqprep.spectrum.fidelity import psnr
from freqprep.spectrum.quantization import PRECISIONS

DATA = Path(__file__).resolve().parents[2].parent / "shared/data/imagenet/train"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real ImageNet at {DATA}")

ENTRY_ERROR = 2.0**-15
"""The matrix is scipy's, each entry rounded by at most this."""

ENCODINGS = {
    f"{kind}-{precision}": Encoding(Geometry(kind, size, resize, "apply"), PRECISIONS[precision])
    for kind, size, resize in (("fit", 256, None), ("crop", 224, 256))
    for precision in ("int8", "int16")
}
STORED_STEPS = {
    p: PRECISIONS[p].step_table[list(STORED_ORDER)].astype(np.float64) for p in ("int8", "int16")
}

encodings = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)


def real_files() -> list[Path]:
    """Every 17th file: 4:4:4, 4:2:0 and others, from small to large."""
    return sorted(DATA.glob("*/*"))[::17] if DATA.is_dir() else []


def waves(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(x / 9 + y / 7), np.cos(y / 23 - x / 5), np.sin(x * y / 900)]
    return (127 + 120 * np.stack(planes, axis=-1)).astype(np.uint8)


def saved(pixels: np.ndarray, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()


def black_and_white(side: int) -> np.ndarray:
    """The strongest contrasts there are: int8 codes saturate."""
    rng = np.random.default_rng(2)
    fine = rng.choice(np.array([0, 255], np.uint8), (side // 2, side // 2))
    coarse = np.kron(fine, np.ones((2, 2), np.uint8))
    coarse[: side // 2] = np.kron([[0, 255], [255, 0]], np.ones((side // 4, side // 2)))
    return coarse


SYNTHETIC = {
    "colour": saved(waves(200, 300), "JPEG", quality=95, subsampling=0),
    "4:2:0": saved(waves(201, 303), "JPEG", quality=80),
    "large": saved(waves(520, 390), "JPEG", quality=90),
    "png": saved(waves(97, 113), "PNG"),
    "grey": saved(waves(131, 260)[..., 0], "JPEG", quality=90),
    "one pixel": saved(waves(1, 1), "PNG"),
    "a line": saved(waves(3, 300), "PNG"),
    "saturated": saved(black_and_white(256), "PNG"),
}


def encode(data: bytes, encoding: Encoding) -> tuple[EncodedImage, np.ndarray]:
    out = np.zeros((CHANNELS, *encoding.geometry.grid), encoding.dtype)
    return Encoder(encoding).encode(data, None, out), out


def reference_pixels(data: bytes, geometry: Geometry) -> np.ndarray:
    """YCbCr float64 (h, w, 3) of an image without orientation, by Pillow alone."""
    image = Image.open(io.BytesIO(data))
    if image.format == "JPEG" and image.mode == "RGB":
        image.draft("YCbCr", None)
    elif image.mode == "RGB":
        ycbcr = rgb_to_ycbcr(np.asarray(image))  # tested by itself
        image = Image.frombytes("YCbCr", image.size, ycbcr.tobytes())
    width, height = image.size
    if geometry.kind == "fit":
        scale = min(1.0, geometry.size / max(width, height))
        size = tuple(max(1, int(side * scale + 0.5)) for side in (width, height))
    else:
        assert geometry.resize is not None
        short = min(width, height)
        size = tuple(int(geometry.resize * side / short) for side in (width, height))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    if geometry.kind == "crop":
        left, top = (round((side - geometry.size) / 2) for side in size)
        image = image.crop((left, top, left + geometry.size, top + geometry.size))
    planes = np.asarray(image).astype(np.float64)
    if planes.ndim == 2:
        planes = np.stack([planes, np.full_like(planes, 128), np.full_like(planes, 128)], axis=-1)
    return planes


def reference(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients in stored order, and how far the rounded matrix may be from each."""
    height, width = planes.shape[:2]
    whole = np.pad(planes, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge") - 128
    rows, columns = whole.shape[0] // 8, whole.shape[1] // 8
    blocks = whole.reshape(rows, 8, columns, 8, 3).transpose(4, 0, 2, 1, 3)
    coefficients = dctn(blocks, axes=(3, 4), norm="ortho")
    raster = coefficients.reshape(3, rows, columns, 64).transpose(0, 3, 1, 2)
    allowed = ENTRY_ERROR * np.abs(blocks).sum(axis=(3, 4)) + 1e-9
    everywhere = np.repeat(allowed[:, None], 64, axis=1)
    order = list(STORED_ORDER)
    return (
        raster.reshape(CHANNELS, rows, columns)[order],
        everywhere.reshape(CHANNELS, rows, columns)[order],
    )


def check(data: bytes, encoding: Encoding) -> None:
    """Everything that is claimed of one image."""
    encoded, out = encode(data, encoding)
    planes = reference_pixels(data, encoding.geometry)
    assert encoded.size == planes.shape[:2]
    with Image.open(io.BytesIO(data)) as image:
        assert encoded.source_size == (image.height, image.width)
    coefficients, allowed = reference(planes)
    rows, columns = coefficients.shape[1:]
    codes = out[:, :rows, :columns].astype(np.int64)
    steps = STORED_STEPS[encoding.precision.name][:, None, None]
    off = codes * steps - coefficients

    limits = np.iinfo(encoding.dtype)
    beyond = np.abs(off) > steps / 2 + allowed
    assert not (beyond & (codes != limits.min) & (codes != limits.max)).any()
    outside = coefficients / steps
    sure = (outside > limits.max + 0.6) | (outside < limits.min - 0.6)
    possible = (outside > limits.max + 0.4) | (outside < limits.min - 0.4)
    assert np.count_nonzero(sure) <= encoded.saturated <= np.count_nonzero(possible)

    assert not out[:, rows:].any() and not out[:, :, columns:].any()

    moments = encoded.moments
    assert moments.count == rows * columns
    assert moments.total.tolist() == codes.sum(axis=(1, 2)).tolist()
    assert moments.total_squares.tolist() == (codes**2).sum(axis=(1, 2)).tolist()

    # Its differences are from the rounded matrix, and rounded to 2**-9 of a step.
    slack = allowed + steps * 2.0**-10
    tolerance = (2 * np.abs(off) * slack + slack**2)[:64].sum() + 1e-6
    assert abs(encoded.luma_squared_error - (off**2)[:64].sum()) <= tolerance


@encodings
@pytest.mark.parametrize("name", SYNTHETIC)
def test_made_up_images_are_encoded_as_an_independent_path_does(name, encoding):
    check(SYNTHETIC[name], encoding)


@real_data
@encodings
def test_real_images_are_encoded_as_an_independent_path_does(encoding):
    assert real_files()
    for path in real_files():
        check(path.read_bytes(), encoding)


@real_data
def test_the_error_is_that_of_the_pixels_of_whole_blocks():
    encoding = ENCODINGS["crop-int8"]
    data = real_files()[0].read_bytes()
    encoded, out = encode(data, encoding)
    planes = reference_pixels(data, encoding.geometry)
    codes = np.empty_like(out[:64])
    codes[list(STORED_ORDER[:64])] = out[:64]
    coefficients = codes.reshape(8, 8, 28, 28) * PRECISIONS["int8"].step_table[:64].reshape(
        8, 8, 1, 1
    )
    blocks = dctn(coefficients, type=3, axes=(0, 1), norm="ortho")
    luma = blocks.transpose(2, 0, 3, 1).reshape(224, 224) + 128
    in_pixels = ((luma - planes[..., 0]) ** 2).sum()
    assert psnr(encoded.luma_squared_error, 1) == pytest.approx(psnr(in_pixels, 1), abs=0.02)


@real_data
def test_real_images_keep_45_decibels():
    for path in real_files():
        for name, least in (("fit-int8", 45), ("fit-int16", 58)):
            encoded, _ = encode(path.read_bytes(), ENCODINGS[name])
            blocks = encoded.moments.count
            assert psnr(encoded.luma_squared_error, 64 * blocks) >= least


@encodings
def test_a_grey_image_has_no_chroma(encoding):
    encoded, out = encode(SYNTHETIC["grey"], encoding)
    assert out[:64].any()
    assert not out[64:].any()
    assert not encoded.moments.total_squares[64:].any()
    # The same picture with three equal planes has the same codes.
    grey = waves(131, 260)[..., 0]
    alone, coloured = (
        encode(saved(pixels, "PNG"), encoding) for pixels in (grey, np.dstack([grey] * 3))
    )
    np.testing.assert_array_equal(alone[1], coloured[1])
    assert alone[0].luma_squared_error == coloured[0].luma_squared_error
    assert alone[0].moments.total.tolist() == coloured[0].moments.total.tolist()


def test_saturated_codes_are_counted():
    int8, out = encode(SYNTHETIC["saturated"], ENCODINGS["fit-int8"])
    assert int8.saturated > 0
    assert {int(out.min()), int(out.max())} <= {-128, 127}
    int16, _ = encode(SYNTHETIC["saturated"], ENCODINGS["fit-int16"])
    assert int16.saturated == 0


@pytest.mark.parametrize("channel", range(CHANNELS))
def test_each_channel_lies_at_its_stored_place(channel):
    component, frequency = divmod(STORED_ORDER[channel], 64)
    v, h = divmod(frequency, 8)
    wave = np.zeros((8, 8))
    wave[v, h] = 300
    planes = np.full((16, 24, 3), 128, np.uint8)
    block = dctn(wave, type=3, norm="ortho") + 128
    planes[8:, 8:16, component] = np.rint(block).clip(0, 255)
    buffer = io.BytesIO()
    Image.frombytes("YCbCr", (24, 16), planes.tobytes()).save(
        buffer, "JPEG", quality=100, subsampling=0
    )
    encoding = Encoding(Geometry("fit", 24, None, "apply"), PRECISIONS["int16"])
    _, out = encode(buffer.getvalue(), encoding)
    largest = np.unravel_index(np.abs(out.astype(int)).argmax(), out.shape)
    assert largest == (channel, 1, 1)
    assert abs(int(out[largest]) - 300) <= 20


@pytest.mark.parametrize("layout", ["channel first", "strided", "fortran"])
def test_any_memory_layout_is_filled(layout):
    encoding = ENCODINGS["fit-int8"]
    rows, columns = encoding.geometry.grid
    expected = encode(SYNTHETIC["colour"], encoding)[1]
    if layout == "channel first":
        out = np.zeros((CHANNELS, 3, rows, columns), np.int8)[:, 1]
    elif layout == "strided":
        out = np.zeros((CHANNELS, rows, 2 * columns), np.int8)[:, :, ::2]
    else:
        out = np.zeros((CHANNELS, rows, columns), np.int8, order="F")
    Encoder(encoding).encode(SYNTHETIC["colour"], None, out)
    np.testing.assert_array_equal(out, expected)


def test_a_rejected_image_leaves_no_code():
    encoding = ENCODINGS["fit-int8"]
    out = np.zeros((CHANNELS, *encoding.geometry.grid), np.int8)
    encoder = Encoder(encoding)
    whole = SYNTHETIC["colour"]
    for data in (b"", b"text", whole[: len(whole) // 2], whole[: len(whole) // 2] + b"\xff\xd9"):
        with pytest.raises(ImageDefect):
            encoder.encode(data, None, out)
    with pytest.raises(ImageDefect, match="size_mismatch"):
        encoder.encode(whole, (7, 7), out)
    assert not out.any()
    elongated = saved(waves(1, 1600), "PNG")
    with pytest.raises(ImageDefect, match="too_large"):
        Encoder(ENCODINGS["crop-int8"]).encode(elongated, None, out)
    encoder.encode(whole, (200, 300), out)
    np.testing.assert_array_equal(out, encode(whole, encoding)[1])


def test_the_orientation_that_was_applied_is_told():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(waves(64, 96), "JPEG", exif=exif)
    applied, _ = encode(data, Encoding(Geometry("fit", 96, None, "apply"), PRECISIONS["int8"]))
    kept, _ = encode(data, Encoding(Geometry("fit", 96, None, "keep"), PRECISIONS["int8"]))
    assert (applied.orientation, applied.size, applied.source_size) == (6, (96, 64), (96, 64))
    assert (kept.orientation, kept.size, kept.source_size) == (1, (64, 96), (64, 96))
