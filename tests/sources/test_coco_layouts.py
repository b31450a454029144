"""What the how-to says of layouts of annotations is what converting them does and says."""

import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from doc_tables import rows
from freqprep_cli.app import app
from PIL import Image

import freqprep
from freqprep.errors import FreqprepError

ROWS = rows("layouts.md", "Annotations")
IMAGES = 2
BOX = [1, 2, 8, 6]
INSTEAD = {  # what an annotation has in files that are not of objects
    "captions": {"caption": "a cat"},
    "panoptic": {"segments_info": [{"id": 1, "category_id": 1, "bbox": BOX, "area": 48}]},
    "person_keypoints": {"keypoints": [1, 2, 2], "num_keypoints": 1, "bbox": BOX, "category_id": 1},
}


def code(cell: str) -> list[str]:
    return re.findall(r"`(.*?)`", cell)


def jpeg(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (24, 16), grey).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def document(names: list[str], kind: str) -> dict:
    """Annotations of images, one object each; of an image's URL where the name is one."""
    images, annotations = [], []
    for number, name in enumerate(names, 1):
        named = {"coco_url": name} if "://" in name else {"file_name": name}
        images.append({"id": number, "width": 24, "height": 16, **named})
        objects = {"category_id": 1, "bbox": BOX, "area": 48, "iscrowd": 0}
        annotations.append({"id": number, "image_id": number, **INSTEAD.get(kind, objects)})
    if kind == "image_info":
        return {"images": images, "categories": [{"id": 1, "name": "cat"}]}
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 0, "name": "things"}],
    }


def named(pattern: str, stem: str) -> str:
    return re.sub(r"[NM](?=\.(jpg|txt|xml)$)", stem, pattern)


def kind_of(name: str) -> str:
    return next((kind for kind in (*INSTEAD, "image_info") if name.startswith(kind)), "instances")


def make(root: Path, files: list[str], listed: list[str]) -> dict[str, dict[str, int]]:
    """Write a layout; for each annotation file, the grey of each image that it lists.

    An annotation file lists the images of the pattern that follows it; annotation files in a row
    share those of the next pattern out among them.
    """
    greys: dict[str, dict[str, int]] = {}
    waiting: list[str] = []
    next_grey = 10
    for file in files:
        if file.endswith(".json"):
            greys[file] = {}
            waiting.append(file)
            continue
        for number in range(IMAGES * max(len(waiting), 1)):
            stem = str(number + 500 * ("M." in file))
            path = root / named(file, stem)
            if file.endswith(".txt"):
                put(path, "0 0.5 0.5 0.25 0.25\n")
            elif file.endswith(".xml"):
                put(path, "<annotation><filename>0.jpg</filename></annotation>")
            else:
                put(path, jpeg(next_grey))
                owner = waiting[number % len(waiting)] if waiting else next(iter(greys), None)
                for pattern in listed if owner else []:
                    if "M." in file:
                        pattern = pattern.replace("train", "val")
                    greys[owner][named(pattern, stem)] = next_grey
                next_grey += 10
        waiting = []
    for file, mine in greys.items():
        put(root / file, json.dumps(document([*mine] or ["0.jpg"], kind_of(Path(file).name))))
    return greys


@pytest.mark.parametrize(
    ("files", "listed", "options", "outcome"), ROWS, ids=[f"{r[0]}-{r[2]}" for r in ROWS]
)
def test_a_layout_becomes_what_the_how_to_says(
    tmp_path, monkeypatch, capsys, files, listed, options, outcome
):
    monkeypatch.chdir(tmp_path)
    greys = make(Path("SOURCE"), code(files), code(listed))
    words = shlex.split(" ".join(code(options)))
    command = ["convert", "coco", "SOURCE", "s.zarr", "--size", "32", "--jobs", "1", *words]
    said = re.sub(r"freqprep convert imagefolder", "`freqprep convert imagefolder`", outcome)
    (said,) = [said[said.index("`") + 1 : -1]] if "`" in outcome else [""]
    if outcome.startswith("error: "):
        with pytest.raises(FreqprepError) as caught:
            app(command, standalone_mode=False)
        assert said in str(caught.value)
        assert caught.value.remedy and not Path("s.zarr").exists()
        return
    app(command, standalone_mode=False)
    output = capsys.readouterr().err
    assert said in output
    assert bool(said) or not re.search("warning|ignored|found by", output)
    splits = outcome.split(", said")[0].split(", ")
    store = freqprep.open_store("s.zarr")
    assert sorted(store) == sorted(splits)
    whole = {frozenset(mine.items()) for mine in greys.values() if mine}
    for name in splits:
        split = store[name]
        assert split.valid.all() and len(split.objects) == len(split)
        assert split.attributes.class_ids == (0, 1) and set(split.objects.label) == {1}
        mine = {key: round(float(np.mean(split.image(n)))) for n, key in enumerate(split.keys)}
        listed_here = {
            frozenset(
                ("/".join(key.split("/")[-2:]) if "://" in key else key, grey) for key, grey in w
            )
            for w in whole
        }
        assert any(
            dict(one).keys() == mine.keys()
            and all(abs(dict(one)[key] - grey) <= 3 for key, grey in mine.items())
            for one in listed_here
        )
    app(["verify", "s.zarr", "--source", "SOURCE"], standalone_mode=False)
