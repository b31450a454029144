"""Versions of the libraries that decide the stored bytes."""

from __future__ import annotations

import importlib.metadata

_CONVERTING = ("numcodecs", "pillow", "simplejpeg", "zarr")
_PACKING = ("numcodecs", "zarr")


def library_versions() -> dict[str, str]:
    """Return the versions of freqprep and of the libraries that decide a conversion's bytes."""
    return _versions(_CONVERTING)


def packing_versions() -> dict[str, str]:
    """Return the versions of freqprep and of the libraries that decide what packing changes."""
    return _versions(_PACKING)


def _versions(libraries: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("freqprep", *libraries)}
