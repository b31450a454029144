"""Large image folders from few files: copies under many names."""

from __future__ import annotations

import shutil
from pathlib import Path

COPIES = 28
"""Copies of 200 images: 5,600 images, 44 shards."""


def replicate(source: Path, target: Path, copies: int = COPIES, linked: bool = False) -> Path:
    """Copy every image of a tree of class folders ``copies`` times: as separate files, or links."""
    for file in sorted(source.rglob("*.JPEG")):
        folder = target / file.parent.relative_to(source)
        folder.mkdir(parents=True, exist_ok=True)
        for copy in range(copies):
            name = folder / f"{copy:03}-{file.name}"
            if linked and copy:
                name.hardlink_to(folder / f"000-{file.name}")
            else:
                shutil.copy(file, name)
    return target
