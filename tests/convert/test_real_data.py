"""The data sets beside the project: converted, verified, small and faithful.

Of the flowers, which are alike, every fourth one.
"""

from pathlib import Path

import numpy as np
import pytest
import synthetic
from PIL import Image

import freqprep
from freqprep.convert.request import Request
from freqprep.convert.run import convert
from freqprep.store.summary import SplitSummary
from freqprep.store.verify import verify

pytestmark = pytest.mark.long

SETS = {
    "imagenet": ("imagenet", {"train": 200}),
    "flowers17": ("imagefolder", {"train": 272, "val": 68}),
    "coco": ("coco", {"train": 170, "val": 100}),
}
LEAST_PSNR, MOST_SATURATED = 45.0, 1e-6


def links_to(files: list[Path], root: Path, folder: Path) -> Path:
    """Make a folder with the place of each file below a root, and links to them."""
    for file in files:
        target = folder / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(file)
    return folder


@pytest.fixture(scope="module", params=SETS)
def converted(request, data, tmp_path_factory) -> tuple[str, Path, dict[str, SplitSummary]]:
    kind, _ = SETS[request.param]
    folder, source = tmp_path_factory.mktemp("real"), data / request.param
    if request.param == "flowers17":
        source = links_to(sorted(source.rglob("*.jpg"))[::4], source, folder / "fewer")
    store = folder / f"{request.param}.zarr"
    return request.param, store, convert(Request(kind, source, store))


def test_every_image_is_there_and_faithful(converted):
    name, _, summaries = converted
    assert {split: summary.valid for split, summary in summaries.items()} == SETS[name][1]
    for summary in summaries.values():
        assert summary.rejected == 0
        assert summary.psnr_luma_worst is not None and summary.psnr_luma_worst >= LEAST_PSNR
        assert summary.saturated_share <= MOST_SATURATED


def test_it_verifies_and_shows(converted, tmp_path):
    _, store, _ = converted
    assert verify(store).problems == ()
    split = next(iter(freqprep.open_store(store)))
    picture = tmp_path / "row.png"
    done = synthetic.freqprep("show", store, "0", "--split", split, "--plain", "-o", picture)
    assert done.returncode == 0, done.stderr
    shown = np.asarray(Image.open(picture))
    np.testing.assert_array_equal(shown, freqprep.open_store(store)[split].image(0))


def test_imagenet_within_512_pixels_is_small(data, tmp_path):
    root, files = data / "imagenet", []
    for file in root.rglob("*.JPEG"):
        with Image.open(file) as image:
            if max(image.size) <= 512:
                files.append(file)
    small = links_to(files, root, tmp_path / "small")
    summary = convert(Request("imagenet", small, tmp_path / "small.zarr"))["train"]
    assert summary.images > 150
    assert summary.stored_bytes_per_image <= 1.10 * summary.source_bytes_per_image
    assert summary.published_24_bytes_per_image <= 0.36 * summary.source_bytes_per_image
