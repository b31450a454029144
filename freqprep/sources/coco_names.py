"""File names in annotation files as paths: separators of other systems, URLs, escapes."""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from freqprep.sources.split_names import split_word

Parts = tuple[bytes, ...]
"""Components of a relative path."""

_URL = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(rb"[A-Za-z]:(?=[\\/])")
_WORD = re.compile(r"[^A-Za-z0-9]+")

_STRUCTURE = frozenset(
    ("annotations", "annotation", "anns", "ann", "labels", "label", "json", "set", "sets")
    + ("images", "image", "imgs", "img", "data", "jpegimages")
)
"""Words of folder names that describe the kind of content, not the data set."""


def spellings(name: bytes) -> list[Parts]:
    r"""Return the relative paths that a file name may mean, the most literal first.

    ``a\b.jpg`` is ``a/b.jpg``; ``./``, a leading ``/`` and a drive are removed: a path of another
    machine is searched by its last components. ``%20`` may be a space, ``é`` may be composed or
    not. Of a URL, only the path counts.

    Parameters
    ----------
    name : bytes

    Returns
    -------
    list of tuple of bytes
        Components of each path; empty if the name is not that of a file. A component may be
        ``..``; see `escapes`.
    """
    if _URL.match(name):
        found = [_parts(unquote_to_bytes(url_path(name)))]
    else:
        slashes = _DRIVE.sub(b"", name, count=1) if _DRIVE.match(name) else name
        slashes = slashes.replace(b"\\", b"/")
        found = [_parts(name), _parts(slashes)]
        if b"%" in slashes:
            found.append(_parts(unquote_to_bytes(slashes)))
        if not slashes.isascii():
            text = slashes.decode("utf-8", "surrogateescape")
            composed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
            found += [_parts(form.encode("utf-8", "surrogateescape")) for form in composed]
    return [parts for parts in dict.fromkeys(found) if parts and not any(b"\0" in p for p in parts)]


def escapes(name: bytes) -> bool:
    """Return whether a file name, in any of its spellings, leads out of a folder."""
    return any(b".." in parts for parts in spellings(name))


def url_path(url: bytes) -> bytes:
    """Return the path of a URL without query and fragment, still escaped."""
    try:
        return urlsplit(url).path
    except ValueError:  # brackets that are not an address
        return url.partition(b"://")[2].partition(b"/")[2]


def name_in_url(url: Any) -> str | None:
    """Return the last two components of an image's URL: ``train2017/000000391895.jpg`` (LVIS)."""
    if not isinstance(url, str) or "://" not in url:
        return None
    parts = _parts(unquote_to_bytes(url_path(url.encode("utf-8", "surrogatepass"))))
    return b"/".join(parts[-2:]).decode("utf-8", "surrogateescape") or None


def split_in(name: str) -> str | None:
    """Return the only split in the name of a file or folder (``lvis_v1_train`` -> ``train``)."""
    found = {word for word in _WORD.split(name) if split_word(word)}
    return found.pop() if len(found) == 1 else None


def is_structure(name: str) -> bool:
    """Return whether a folder name only describes content (``annotations``, ``val_images``)."""
    words = [word.lower() for word in _WORD.split(name) if word]
    return bool(words) and all(word in _STRUCTURE or split_word(word) for word in words)


def _parts(path: bytes) -> Parts:
    return tuple(part for part in path.split(b"/") if part not in (b"", b"."))
