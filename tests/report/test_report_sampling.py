"""A report shows colourful, detailed images of different classes, the same ones each time."""

from pathlib import Path

import numpy as np
import pytest
import synthetic
from PIL import Image

import freqprep
from freqprep.report.sample_pictures import gallery
from freqprep.report.sampling import colourfulness, sample_rows

GOLDEN = "tests/golden/format-1.0-coco.zarr"
SIDE = 48


def textured(seed: int, colour: float) -> Image.Image:
    """Detail in brightness, and in colour as much as asked for; 0 is grey."""
    random = np.random.default_rng(seed)
    grey = random.integers(60, 196, (SIDE, SIDE, 1)).astype(float)
    tint = np.kron(random.uniform(-1, 1, (SIDE // 8, SIDE // 8, 3)), np.ones((8, 8, 1)))
    return Image.fromarray(np.clip(grey + colour * tint, 0, 255).astype(np.uint8))


def split_of(folder: Path, images: dict[str, Image.Image]) -> freqprep.Split:
    for name, image in images.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    store = synthetic.make(folder / "photos", folder / "photos.zarr", size=SIDE)
    return freqprep.open_store(store)["train"]


def shown(split: freqprep.Split, count: int = 3) -> list[str]:
    return [split.keys[row] for row in sample_rows(split, count)]


def test_the_most_colourful_of_each_class_comes_first(tmp_path):
    images = {
        f"{name}/{number}.png": textured(10 * place + number, colour * number)
        for place, (name, colour) in enumerate({"a": 2, "b": 30, "c": 9, "d": 20}.items())
        for number in range(4)
    }
    images |= {f"d/flat-{n}.png": Image.new("RGB", (SIDE, SIDE), (250, 9, 9)) for n in range(9)}
    split = split_of(tmp_path, images)
    assert shown(split) == ["b/3.png", "d/3.png", "c/3.png"] == shown(split)
    assert sample_rows(freqprep.open_store(split.path.parent)["train"]) == sample_rows(split)


def test_one_class_gives_several_images(tmp_path):
    images = {f"a/{number}.png": textured(number, 9 * number) for number in range(5)}
    assert shown(split_of(tmp_path, images)) == ["a/4.png", "a/3.png", "a/2.png"]


def test_small_images_are_left_out(tmp_path):
    images = {f"a/{number}.png": textured(number, 3) for number in range(4)}
    images["b/small.png"] = textured(9, 90).crop((0, 0, 24, 24))
    found = shown(split_of(tmp_path, images))
    assert len(found) == 3 and "b/small.png" not in found


def test_grey_images_are_shown_by_their_detail(tmp_path):
    images = {f"{name}/1.png": textured(ord(name), 0).convert("L") for name in "abcd"}
    images |= {f"{name}/flat.png": Image.new("L", (SIDE, SIDE), 99) for name in "abcd"}
    split = split_of(tmp_path, images)
    assert (colourfulness(split, np.arange(len(split))) == 0).all()
    found = shown(split)
    assert len({key[0] for key in found}) == 3 and not [key for key in found if "flat" in key]


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_are_all_shown(tmp_path, count):
    images = {f"a/{number}.png": textured(number, 9) for number in range(count)}
    assert len(shown(split_of(tmp_path, images))) == count


def test_images_without_a_class(request):
    split = freqprep.open_store(request.config.rootpath / GOLDEN)["val"]
    rows = sample_rows(split)
    assert len(rows) == min(3, split.valid.sum()) and split.valid[rows].all()


def test_no_valid_image_is_no_sample(store):
    split = freqprep.open_store(store)["train"]
    split.__dict__["valid"] = np.zeros(len(split), bool)
    assert sample_rows(split) == []


def test_samples_of_a_store_are_valid_and_of_different_classes(store):
    split = freqprep.open_store(store)["train"]
    rows = sample_rows(split)
    assert len(set(rows)) == 3 and split.valid[rows].all()
    assert len(set(split.labels[rows])) == 3


def test_colour_of_the_padding_does_not_count(tmp_path):
    left = textured(1, 80)
    split = split_of(tmp_path, {"a/half.png": left.crop((0, 0, 24, SIDE)), "a/whole.png": left})
    half = int(list(split.keys).index("a/half.png"))
    chroma = split.read(half, ["cb_0_0", "cr_0_0"])[0, :, :, :3].reshape(2, -1)
    expected = np.hypot(*chroma.std(axis=1)) + 0.3 * np.hypot(*chroma.mean(axis=1))
    assert colourfulness(split, np.array([half])) == pytest.approx([expected])


def test_the_sheets_of_colour_are_not_blank(tmp_path):
    images = {f"{name}/{n}.png": textured(n, 60 * (name == "c")) for name in "abc" for n in (1, 2)}
    split = split_of(tmp_path, images)
    assert shown(split, 1)[0].startswith("c/")
    for sheet in gallery(split, sample_rows(split)[0], ()):
        assert sheet[:72, :72].std() > 20  # of the channel v = h = 0
