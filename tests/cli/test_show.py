"""``freqprep show``: annotated objects, and images by their keys as they are printed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import synthetic
import zarr
from PIL import Image

import freqprep
from freqprep.images.rle import decode_mask
from freqprep.store.reader import find_row
from freqprep.store.rejects import noted_images, rejected_images

COCO = Path(__file__).resolve().parents[1] / "golden/format-1.0-coco.zarr"


@pytest.fixture
def show(call, tmp_path):
    """Run show on a row: exit code, stdout, stderr, and the pixels written."""

    def shown(store: Path, row: int, *options: str) -> tuple[int, str, str, np.ndarray | None]:
        path = tmp_path / "row.png"
        code, out, err = call("show", store, str(row), "-o", path, "--overwrite", *options)
        return code, out, err, np.asarray(Image.open(path)) if path.exists() else None

    return shown


def test_objects_are_drawn_unless_it_is_to_be_plain(show):
    split = freqprep.open_store(COCO)["val"]
    objects = split.objects
    for row in np.flatnonzero(split.valid).tolist():
        mine = objects.of(row)
        code, out, _, picture = show(COCO, row)
        assert code == 0 and f"objects drawn: {mine.stop - mine.start}\n" in out.replace(
            "\n  ", " "
        )
        where = (picture != split.image(row)).any(axis=2)
        assert where.any() == (mine.stop > mine.start)
        for number in range(mine.start, mine.stop):
            counts = objects.masks.bytes_at(number)
            if counts and not objects.iscrowd[number]:
                assert where[decode_mask(counts, where.shape)].mean() > 0.9
        code, out, _, picture = show(COCO, row, "--plain")
        assert code == 0 and "objects drawn" not in out
        np.testing.assert_array_equal(picture, split.image(row))


def test_a_damaged_mask_is_exit_code_4(show, tmp_path):
    store = Path(shutil.copytree(COCO, tmp_path / "copy.zarr"))
    masks = zarr.open_array(store / "val/mask", mode="r+")
    masks[...] = np.full(masks.shape, ord("o"), np.uint8)
    synthetic.reseal(store / "val")
    split = freqprep.open_store(store)["val"]
    row = int(np.flatnonzero(split.valid & (np.diff(split.objects.offsets) > 0))[0])
    code, out, err, picture = show(store, row)
    assert code == 4 and out == "" and picture is None
    assert "is no mask of" in err and "--overwrite" in err
    code, _, _, picture = show(store, row, "--plain")
    assert code == 0 and picture is not None


def test_a_key_is_found_by_what_is_printed_of_it(tmp_path, call):
    names = [b"\xff.jpg", "\x1b[2Jü\u202e\x85.gif".encode()]
    (tmp_path / "source/a").mkdir(parents=True)
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path / "source/a"), name), "wb") as file:
            frames = [Image.new("L", (8, 8), grey) for grey in (0, 255)]
            frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
            if name == names[0]:
                file.truncate(0)
    split = freqprep.open_store(synthetic.make(tmp_path / "source", tmp_path / "out.zarr"))["train"]
    printed = call("info", tmp_path / "out.zarr")[1]
    for entry, word, name in [
        (rejected_images(split)[0], "rejected: ", "a/\\xff.jpg"),
        (noted_images(split)[0], "note: ", "a/\\x1b[2Jü\\u202e\\u0085.gif"),
    ]:
        row = entry["row"]
        assert f"{word}row {row}, '{name}'" in " ".join(printed.split())
        assert find_row(split, name) == find_row(split, entry["key"]) == row
        assert find_row(split, json.dumps(split.keys[row])[1:-1]) == row
    code, out, _ = call("show", tmp_path / "out.zarr", name, "-o", tmp_path / "row.png")
    assert code == 0 and out.startswith(f"row {row}, '{name}'")
