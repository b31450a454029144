"""Decoding image files to YCbCr pixels, or to a named defect.

Rules that are applied here, and nowhere else:

* the content decides what a file is, never its name;
* a JPEG's own YCbCr is taken as it is; every other image goes through RGB, then JFIF YCbCr;
* the EXIF orientation is applied, or the stored pixels kept, or whichever fits a stated size;
* grey images keep one plane: their chroma is 128 everywhere;
* transparent pixels are laid over white; 16-bit grey is divided by 257; ICC profiles are ignored,
  as torchvision and the published training code ignore them;
* of an animation or a multi-picture file the first frame is taken, and that is noted.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from freqprep.engines.process_wide import Held, warnings_ignored
from freqprep.errors import ImageDefect
from freqprep.images import jpeg, png, tiff
from freqprep.images.geometry import Placement
from freqprep.spectrum.color import rgb_to_ycbcr

MAX_PIXELS = 100_000_000
"""Largest number of pixels of an image: by its header, and after resizing."""

MAX_FILE_BYTES = 256 * 2**20
"""Largest size of a file in bytes; larger ones are not read."""

REASONS = {
    "missing": "listed, but not there",
    "not_a_file": "a directory, FIFO, socket or device",
    "unreadable": "the system refused to read it",
    "empty": "no bytes",
    "not_an_image": "not in a format that is read",
    "too_large": "more pixels, scans or bytes than the limits allow",
    "corrupt": "damaged or cut off",
    "unsupported": "a kind of pixel or of JPEG that is not read",
    "size_mismatch": "not of the size that its annotation states",
}
"""Reasons for rejecting an image, and what they mean."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_SIGNATURES = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
_EXIF_ORIENTATION = 0x0112
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints its complaints
_BAND_PIXELS = 2**20
_PILLOW_PIXELS = 2**30 // 4 // 3  # its own limit; it refuses images of twice as many
_TURNS = {  # orientation -> transposed, rows mirrored, columns mirrored
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_INVERSE = {6: 8, 8: 6}


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (h, w, 1) or (h, w, 3)
        Y, Cb and Cr, upright; only Y for a grey image. Any strides.
    orientation : int
        EXIF orientation that was applied, 1..8; 1 means none.
    note : str
        Remark for the user about the file; mostly empty.
    """

    pixels: np.ndarray
    orientation: int
    note: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def rgb(self) -> np.ndarray:
        """Convert to uint8 RGB for display, shape (h, w, 3), rounded as Pillow does."""
        return np.asarray(_to_pillow(self.pixels).convert("RGB"))


def decode(
    data: bytes, orientation: str = "apply", stated_size: tuple[int, int] | None = None
) -> Decoded:
    """Decode the bytes of an image file.

    Parameters
    ----------
    data : bytes
        The whole file.
    orientation : {"apply", "keep"}
        Apply the EXIF orientation, or keep the pixels as stored.
    stated_size : tuple of int, optional
        Height and width that an annotation states, for the pixels its boxes are in. Then the
        stored pixels are kept where they have this size, else the orientation is applied.

    Returns
    -------
    Decoded

    Raises
    ------
    ImageDefect
        The file cannot be converted; ``reason`` is one of `REASONS`.
    """
    # Warnings are about metadata; what matters here becomes a defect.
    with warnings_ignored, _pillow_as_shipped:
        try:
            return _decode(data, orientation, stated_size)
        except ImageDefect:
            raise
        except Image.DecompressionBombError:
            detail = f"by its header more than {MAX_PIXELS} pixels"
            raise ImageDefect("too_large", detail) from None
        except MemoryError:
            raise ImageDefect("too_large", "decoding ran out of memory") from None
        except Exception as error:
            # Pillow's plugins raise many types on hostile files; each is this file's defect.
            raise ImageDefect("corrupt", f"{type(error).__name__}: {error}") from None


def place_pixels(decoded: Decoded, place: Placement) -> np.ndarray:
    """Resize and cut a decoded image.

    Uses Pillow's antialiased BILINEAR filter on the YCbCr planes.

    Parameters
    ----------
    decoded : Decoded
    place : Placement

    Returns
    -------
    ndarray of uint8, shape (h, w, 1) or (h, w, 3)
        Y, Cb and Cr; only Y for a grey image. h and w are ``place.size``.

    Raises
    ------
    ImageDefect
        ``too_large``: so elongated that the resized image has more than `MAX_PIXELS`.
    """
    pixels = decoded.pixels
    height, width = place.resized
    if height * width > MAX_PIXELS:
        raise ImageDefect("too_large", f"{width} x {height} pixels after resizing")
    if place.resized != decoded.size:
        resized = _to_pillow(pixels).resize((width, height), Image.Resampling.BILINEAR)
        pixels = _to_array(resized)
    return pixels[place.top : place.top + place.size[0], place.left : place.left + place.size[1]]


def _to_pillow(pixels: np.ndarray) -> Image.Image:
    mode = "L" if pixels.shape[2] == 1 else "YCbCr"
    data = np.ascontiguousarray(pixels).data
    return Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), data)


def _to_array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


@contextlib.contextmanager
def _shipped_switches() -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = _PILLOW_PIXELS, False
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


_pillow_as_shipped = Held(_shipped_switches)
"""Pillow's switches as shipped, whatever the program set; its settings come back afterwards."""


def _decode(data: bytes, orientation: str, stated_size: tuple[int, int] | None) -> Decoded:
    if not data:
        raise ImageDefect("empty", "0 bytes")
    header = jpeg.read_header(data) if data.startswith(jpeg.SIGNATURE) else None
    if header is not None:
        jpeg.check_process(header)
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        for signature, name in _SIGNATURES.items():
            if data.startswith(signature):
                raise ImageDefect("corrupt", f"a {name} whose header cannot be read") from None
        start = data[:16].hex(" ")
        raise ImageDefect("not_an_image", f"{len(data)} bytes that start with {start}") from None
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        detail = f"{image.width} x {image.height} pixels, more than {MAX_PIXELS}"
        raise ImageDefect("too_large", detail)
    turned_already = 1
    if image.format == "TIFF":  # Pillow turns TIFF files on loading, and forgets by how much
        turned_already = _exif_orientation(image)
    if "jpeg" in str(image.info.get("compression", "")):
        raise ImageDefect("unsupported", "JPEG inside TIFF: damage to it would go unseen")
    note = _frames_note(image)
    if header is not None:
        jpeg.check_scans(header, data, pixels)
        loaded = _load_jpeg(image, header, data)
    elif image.format == "TIFF":
        loaded = _load_tiff(image)
    else:
        loaded = _to_ycbcr(image)
        if image.format == "PNG":
            png.check_whole(data)
    # After loading: asked earlier, a PNG would load here and hide its damage in the except below.
    exif = turned_already if image.format == "TIFF" else _exif_orientation(image)
    return _orient(loaded, exif, turned_already, orientation, stated_size, note)


def _exif_orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _frames_note(image: Image.Image) -> str:
    if not getattr(image, "is_animated", False):
        return ""
    return f"first of {getattr(image, 'n_frames', 'several')} frames ({image.format})"


def _load_tiff(image: Image.Image) -> np.ndarray:
    with tiff.complaints() as said:
        try:
            loaded = _to_ycbcr(image)
        except Exception as error:
            # Pillow's own text is then a number; a kind of pixel that is not read is said before.
            raise (ImageDefect("corrupt", said[0]) if said else error) from None
    if said:
        raise ImageDefect("corrupt", said[0])
    return loaded


def _load_jpeg(image: Image.Image, header: jpeg.Header, data: bytes) -> np.ndarray:
    components = jpeg.decode(header, data)
    if components is None:
        if image.mode == "RGB" and not jpeg.is_rgb(header):
            image.draft("YCbCr", None)  # Pillow then hands out the file's own components, too
        loaded = _to_ycbcr(image)
        jpeg.judge(header, data)
        return loaded
    if components.shape[:2] != (image.height, image.width):
        raise ImageDefect("corrupt", "the headers disagree about the size")
    if components.shape[2] == 3 and jpeg.is_rgb(header):
        return rgb_to_ycbcr(components)
    return components


def _to_ycbcr(image: Image.Image) -> np.ndarray:
    """Load an image of any mode and convert it to YCbCr."""
    image.load()
    if image.mode == "YCbCr":
        return _to_array(image)
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return _to_array(image.convert("L"))
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        # Pillow gives PGM files of more than 8 bits as I, scaled to 0..65535.
        return _in_bands(image, 1, _from_grey16)
    if image.mode in ("I", "F"):
        raise ImageDefect("unsupported", f"{image.mode} pixels have no agreed range")
    return _in_bands(image, 3, _from_colour)


def _in_bands(
    image: Image.Image, components: int, convert: Callable[[Image.Image], np.ndarray]
) -> np.ndarray:
    """Convert some rows at a time: of a large image the arithmetic takes many times the bytes."""
    pixels = np.empty((image.height, image.width, components), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        band = convert(image.crop((0, top, image.width, bottom)))
        pixels[top:bottom] = band.reshape(bottom - top, image.width, components)
    return pixels


def _from_grey16(band: Image.Image) -> np.ndarray:
    return ((np.asarray(band).astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_colour(band: Image.Image) -> np.ndarray:
    if band.has_transparency_data:
        band = band.convert("RGBA")
        band = Image.alpha_composite(Image.new("RGBA", band.size, "white"), band)
    return rgb_to_ycbcr(np.asarray(band if band.mode == "RGB" else band.convert("RGB")))


def _orient(
    pixels: np.ndarray,
    exif: int,
    turned_already: int,
    orientation: str,
    stated_size: tuple[int, int] | None,
    note: str,
) -> Decoded:
    if turned_already != 1:
        pixels = _turn(pixels, _INVERSE.get(turned_already, turned_already))
    wanted = exif if orientation == "apply" else 1
    if stated_size is not None:
        stored = pixels.shape[:2]
        turned = stored[::-1] if exif >= 5 else stored
        if stated_size not in (stored, turned):
            detail = (
                f"{stored[1]} x {stored[0]} pixels, "
                f"but the annotation states {stated_size[1]} x {stated_size[0]}"
            )
            raise ImageDefect("size_mismatch", detail)
        wanted = 1 if stated_size == stored else exif
    return Decoded(_turn(pixels, wanted), wanted, note)


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation: transpose, then mirror rows or columns."""
    transpose, rows, columns = _TURNS[orientation]
    pixels = pixels.swapaxes(0, 1) if transpose else pixels
    return pixels[:: -1 if rows else 1, :: -1 if columns else 1]
