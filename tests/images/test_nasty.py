"""Hostile and odd real files: what becomes of each, written out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from freqprep.errors import ImageDefect
from freqprep.images.decode import REASONS, Decoded, decode
from freqprep.spectrum.color import rgb_to_ycbcr

DATA = Path(__file__).resolve().parents[2].parent / "shared/data/nasty"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no hostile files at {DATA}")

OUTCOMES: list[tuple[str, tuple[int, int, int] | str]] = [
    # file, and height, width and orientation where it is converted, or the reason it is not
    ("zero_byte.jpg", "empty"),
    ("truncated_99pct.jpg", "corrupt"),
    ("trailing_garbage.jpg", (267, 200, 1)),
    ("leading_garbage.jpg", "not_an_image"),
    ("missing_dht.jpg", (267, 200, 1)),
    ("sof_dims_zero_height.jpg", "corrupt"),
    ("sof_dims_65500.jpg", "too_large"),
    ("bomb_30000x30000_1bit.png", "too_large"),
    ("warn_9500x9500_grey.jpg", (9500, 9500, 1)),
    ("size_1x8_420.jpg", (8, 1, 1)),
    ("size_7x9_420.jpg", (9, 7, 1)),
    ("size_9x7_420.jpg", (7, 9, 1)),
    ("size_15x17_420.jpg", (17, 15, 1)),
    ("thin_3x2000.jpg", (2000, 3, 1)),
    ("sub_444.jpg", (267, 200, 1)),
    ("sub_440.jpg", (267, 200, 1)),
    ("sub_441.jpg", (267, 200, 1)),
    ("sub_cb_ne_cr.jpg", (267, 200, 1)),
    ("sub_chroma_higher.jpg", (267, 200, 1)),
    ("arith.jpg", (267, 200, 1)),
    ("restartB.jpg", (267, 200, 1)),
    ("rgb_adobe.jpg", (267, 200, 1)),
    ("grey_sampled.jpg", (267, 200, 1)),
    ("twin_baseline.jpg", (267, 200, 1)),
    ("twin_progressive.jpg", (267, 200, 1)),
    ("cmyk_adobe.jpg", (267, 200, 1)),
    ("png_rgb_named.JPEG", (267, 200, 1)),
    ("palette_alpha.png", (267, 200, 1)),
    ("grey16.png", (267, 200, 1)),
    ("grey_alpha.png", (267, 200, 1)),
    ("animated.gif", (267, 200, 1)),
    ("tiff_named.jpg", (66, 50, 1)),
    ("heic_ftyp_named.jpg", "not_an_image"),
    ("exif_orient_8.jpg", (160, 120, 8)),
    ("exif_orient_9_invalid.jpg", (267, 200, 1)),
    ("exif_60kB.jpg", (267, 200, 1)),
    ("many_app_segments.jpg", (267, 200, 1)),
    ("pillow__truncated_jpeg.jpg", "corrupt"),
    ("pillow__hopper_16bit_qtables.jpg", (128, 128, 1)),
    ("pillow__pil_sample_cmyk.jpg", (100, 100, 1)),
    ("pillow__truncated_app14.jpg", (100, 100, 1)),
    ("pillow__jpeg_ff00_header.jpg", (225, 300, 1)),
    ("pillow__icc-after-SOF.jpg", (10, 10, 1)),
    ("pillow__invalid-exif.jpg", (200, 200, 1)),
    ("pillow__truncated_exif_dpi.jpg", (640, 480, 1)),
    ("pillow__frame_size.mpo", (70, 56, 1)),
    ("pillow__decompression_bomb.gif", "too_large"),
    ("pillow__decompression_bomb.ico", "not_an_image"),
    ("pillow__broken.png", "corrupt"),
    ("pillow__broken_data_stream.png", "corrupt"),
    ("jpegdec__mjpeg.jpg", "corrupt"),
    ("jpegdec__non-interleaved-mcu.jpg", (16, 64, 1)),
    ("jpegdec__partial_progressive.jpg", "corrupt"),
    ("jpegdec__progressive-missing-dc.jpg", "corrupt"),
    ("jpegdec__ycck.jpg", (333, 500, 1)),
    ("jpegdec__extraneous-data.jpg", (16, 16, 1)),
    ("jpegdec__jpeg_lossless_sel1-8bit.jpg", "unsupported"),
    ("jpegdec__invalid-prediction-shift.jpg", "unsupported"),
    ("jpegdec__multiple-0xff-before-eoi.jpg", (480, 640, 1)),
    ("jpegdec__subtract-with-overflow.jpg", "corrupt"),
    ("imagetestsuite/1cbb1bb37d62c44f67374cd451643dc4.jpg", "corrupt"),
    ("imagetestsuite/21a84b8472f6d18f5bb5c0026e97cfaa.jpg", "corrupt"),
    ("imagetestsuite/28968137f4fc75fbf56f16d7a7a8551a.jpg", "corrupt"),
    ("imagetestsuite/28c74d9284d9836017fd519f6932efd8.jpg", "corrupt"),
    ("imagetestsuite/3976a754ef0aca80e84e2c403d714579.jpg", (80, 75, 1)),
    ("imagetestsuite/39f43f280b31152f1d27df3f9d189317.jpg", "corrupt"),
    ("imagetestsuite/3ea649db8e81a46ca4f92fb3238f78ff.jpg", "corrupt"),
    ("imagetestsuite/3ef05501315073d9d4e1c6b654d99ac0.jpg", "corrupt"),
    ("imagetestsuite/4085c929e00c446d3fee18b5b20a27f9.jpg", "corrupt"),
    ("imagetestsuite/46e5ac4a62d7a445a7c1fb704fafe05c.jpg", "corrupt"),
    ("imagetestsuite/5315c35bbcc28d8eee419028ac9f38e0.jpg", "corrupt"),
    ("imagetestsuite/5633ed9d0eb700d0093bf85d86a95ebf.jpg", "corrupt"),
    ("imagetestsuite/56d4a1bb53241f7c5ed6ab531320a542.jpg", "corrupt"),
    ("imagetestsuite/5baad44ca4702949724234e35c5bb341.jpg", "corrupt"),
    ("imagetestsuite/5c67195f6993c9f8d0d32d4ffe0d8e62.jpg", "corrupt"),
    ("imagetestsuite/6903d4538fd33c8fd0ded32cb30d618e.jpg", "corrupt"),
    ("imagetestsuite/72d091e08c93c9e590360130fa35221b.jpg", "corrupt"),
    ("imagetestsuite/754664a12e36abff7950e796c906ae39.jpg", "corrupt"),
    ("imagetestsuite/75e4bd7544a85af6438497980b62fba5.jpg", "corrupt"),
    ("imagetestsuite/7dbf474f80e466e9e25ee46b84166420.jpg", "corrupt"),
    ("imagetestsuite/7e7cdf7f4ee50b308531313bbf43e0c3.jpg", "corrupt"),
    ("imagetestsuite/8546907dbe574744d7fea6ca9de1de6b.jpg", "corrupt"),
    ("imagetestsuite/897b8b6d8feb466aa6cad5f512c3fce2.jpg", "corrupt"),
    ("imagetestsuite/8a9cc8eeed66aeb423a91c44111d9450.jpg", "corrupt"),
    ("imagetestsuite/8e5e74dbf9b68a322fbb9512db837329.jpg", "corrupt"),
    ("imagetestsuite/90e46387f562ca8fa106b51dfcda1dc6.jpg", "unsupported"),
    ("imagetestsuite/96b3e939852157613fa2e48d58fe35fe.jpg", "corrupt"),
    ("imagetestsuite/9efd60f04cd971daa83d3131e6d6f389.jpg", "corrupt"),
    ("imagetestsuite/a17806f32b45d63eea5230e7893e1f15.jpg", "corrupt"),
    ("imagetestsuite/a7326ba8f3f4559991126474dd30083d.jpg", "corrupt"),
    ("imagetestsuite/adcb34b94f4c839bdd29037419a0ee53.jpg", "corrupt"),
    ("imagetestsuite/c52ffdd6a0346c4d09271f8ccbdfd5a3.jpg", "corrupt"),
    ("imagetestsuite/cc23dd79637b606cf5ba234a037e17ba.jpg", "corrupt"),
    ("imagetestsuite/d085a42245996e5750a30ccb48791bcf.jpg", "corrupt"),
    ("imagetestsuite/d15b71b8cebe35a57cc6e996cc09218b.jpg", "corrupt"),
    ("imagetestsuite/de4ae285a275bcfe2ac87c0126742552.jpg", "corrupt"),
    ("imagetestsuite/de5884cec093257d239f3b8be3e2f2e5.jpg", "corrupt"),
    ("imagetestsuite/e18bb52107598f65b81b02be2c6c5124.jpg", "corrupt"),
    ("imagetestsuite/e6d9eca2c7405e13cfb850b7d0ef7476.jpg", "corrupt"),
    ("imagetestsuite/eecb78b937a7c5f04aae2f5b0f5b5acc.jpg", "corrupt"),
    ("imagetestsuite/ef724193653930f52acffa90e6426fd2.jpg", "corrupt"),
    ("imagetestsuite/f6419b06a39ff09604343848658b1a41.jpg", "corrupt"),
    ("imagetestsuite/f8e19feecd246156b5d7e79efc455e99.jpg", "corrupt"),
    ("ljt__monkey12.jpg", "unsupported"),
    ("ljt__testimgari.jpg", (149, 227, 1)),
    ("ljt__testorig.jpg", (149, 227, 1)),
]

NOTES = {
    "animated.gif": "first of 3 frames (GIF)",
    "pillow__frame_size.mpo": "first of 2 frames (MPO)",
}


def decoded(name: str) -> Decoded:
    return decode((DATA / "files" / name).read_bytes())


def pixels(name: str) -> np.ndarray:
    return decoded(name).pixels.astype(np.int64)


def manifest() -> dict[str, str]:
    """File -> what is expected of it."""
    lines = (DATA / "MANIFEST.tsv").read_text().splitlines()[1:]
    return {line.split("\t")[0].removeprefix("files/"): line.split("\t")[3] for line in lines}


@pytest.mark.parametrize(("name", "outcome"), OUTCOMES, ids=[name for name, _ in OUTCOMES])
def test_every_file_gets_its_outcome(name, outcome):
    if isinstance(outcome, str):
        with pytest.raises(ImageDefect) as error:
            decoded(name)
        assert error.value.reason == outcome
        assert outcome in REASONS
        assert error.value.detail
        return
    result = decoded(name)
    assert (*result.size, result.orientation) == outcome
    assert result.note == NOTES.get(name, "")
    assert result.pixels.shape[2] in (1, 3)


def test_the_table_has_every_file():
    assert [name for name, _ in OUTCOMES] == list(manifest())


@pytest.mark.parametrize(("name", "outcome"), OUTCOMES, ids=[name for name, _ in OUTCOMES])
def test_every_outcome_is_one_that_is_expected(name, outcome):
    expected = manifest()[name]
    allowed = {
        str: "SKIP" in expected or "refuse" in expected,
        tuple: "CONVERT" in expected or "convert" in expected,
    }
    assert any(allowed.values()) or expected.startswith("any outcome")
    assert allowed[type(outcome)] or expected.startswith("any outcome")


def test_a_progressive_twin_has_the_same_pixels():
    np.testing.assert_array_equal(pixels("twin_progressive.jpg"), pixels("twin_baseline.jpg"))


def test_a_turned_picture_stands_upright():
    # Orientation 8: the first stored row is the left side, the first stored column the bottom.
    with Image.open(DATA / "files/exif_orient_8.jpg") as image:
        assert image.size == (160, 120)
        image.draft("YCbCr", None)
        stored = np.asarray(image)
    np.testing.assert_array_equal(pixels("exif_orient_8.jpg"), np.rot90(stored))
    kept = decode((DATA / "files/exif_orient_8.jpg").read_bytes(), "keep")
    np.testing.assert_array_equal(kept.pixels, stored)


def test_16_bit_grey_keeps_its_range():
    with Image.open(DATA / "files/grey16.png") as image:
        values = np.asarray(image).astype(np.float64)
    assert values.max() > 255
    np.testing.assert_array_equal(pixels("grey16.png")[..., 0], np.floor(values / 257 + 0.5))


def test_a_png_named_jpeg_is_a_png():
    with Image.open(DATA / "files/png_rgb_named.JPEG") as image:
        assert image.format == "PNG"
        expected = rgb_to_ycbcr(np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(pixels("png_rgb_named.JPEG"), expected)


@pytest.mark.parametrize("name", ["cmyk_adobe.jpg", "rgb_adobe.jpg", "jpegdec__ycck.jpg"])
def test_what_is_not_ycbcr_goes_through_rgb(name):
    with Image.open(DATA / "files" / name) as image:
        expected = rgb_to_ycbcr(np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(pixels(name), expected)


@pytest.mark.parametrize(
    "name",
    [
        *["sub_444.jpg", "sub_440.jpg", "sub_441.jpg", "sub_cb_ne_cr.jpg", "arith.jpg"],
        *["sub_chroma_higher.jpg", "restartB.jpg", "trailing_garbage.jpg", "missing_dht.jpg"],
        *["exif_60kB.jpg", "many_app_segments.jpg", "exif_orient_9_invalid.jpg"],
        *["rgb_adobe.jpg", "cmyk_adobe.jpg", "png_rgb_named.JPEG"],
    ],
)
def test_variants_of_one_picture_look_alike(name):
    off = np.abs(pixels(name) - pixels("twin_baseline.jpg"))
    assert off.mean(axis=(0, 1)).max() < 3, off.mean(axis=(0, 1))
