"""Tar shards made and read by the ``webdataset`` package, and by hand for what it refuses."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from imagenet_forms import contents, keys, put

from freqprep.sources.listing import Discovered


def write_tar(path: Path, samples: Iterable[Mapping[str, Any]]) -> None:
    """Write a tar as ``webdataset.TarWriter`` does; values are encoded by their suffix."""
    webdataset = pytest.importorskip("webdataset")
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(dict(sample))


def sample(key: str, image: bytes, label: int | None = None, **more: Any) -> dict[str, Any]:
    parts = {"__key__": key, "jpg": image, **more}
    return parts if label is None else {**parts, "cls": label}


def read_by_webdataset(tars: Iterable[Path]) -> list[dict[str, Any]]:
    """All samples of tars, in order, as the package reads them without decoding."""
    shards = pytest.importorskip("webdataset.tariterators")
    found: list[dict[str, Any]] = []
    for path in tars:
        with open(path, "rb") as file:
            members = shards.tar_file_iterator(file)
            named = ({**member, "__url__": str(path)} for member in members)
            found += shards.group_by_keys(named)
    return found


def tar_of(members: Iterable[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Make a tar by hand, of names and contents, in order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def put_tar(path: Path, *members: tuple[str, bytes]) -> None:
    put(path, tar_of(members))


def listed(root: Path, found: Discovered) -> dict[str, list[tuple[bytes, Any, bytes]]]:
    """Key, class id and bytes of each row, by split."""
    ids = (*found.classes.ids, None)
    return {
        name: list(
            zip(
                keys(listing),
                (ids[label] for label in listing.labels.tolist()),
                contents(root, listing),
                strict=True,
            )
        )
        for name, listing in found.listings.items()
    }


def name_of(sample: Mapping[str, Any]) -> bytes:
    return os.fsencode(sample["__key__"])
