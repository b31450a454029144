"""Data sets in a bucket: the listing of the same files in a folder, for few requests."""

import dataclasses
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import imagenet_forms
import numpy as np
import pytest
import synthetic
from coco_folder import coco_folder
from slow_server import Fault

from freqprep.errors import AccessDeniedError, ObjectStoreError, SourceChangedError, SourceError
from freqprep.ragged import Ragged
from freqprep.sources import Discovered, SourceOptions, discover
from freqprep.sources.object_tree import ObjectTree
from freqprep.sources.tree import LocalTree, source_tree
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import as_path


def plain(value):
    """Return a value that can be compared; versions differ between a folder and a bucket."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Ragged):
        return [value.bytes_at(row) for row in range(len(value))]
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        version = fields.pop("version", None)
        known = {} if version is None else {"known": (version > 0).tolist()}
        return {name: plain(field) for name, field in fields.items()} | known
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items()}
    return value


def listed(found: Discovered, root) -> dict:
    notes = [note.replace(str(root), "ROOT") for note in found.notes]
    return {"classes": found.classes, "notes": notes, "listings": plain(found.listings)}


def same_in_bucket(kind: str, root: Path, slow_server, split=None) -> Discovered:
    for folder, _, _ in os.walk(root, topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)  # a bucket has no empty ones
    place = as_path(slow_server.load(root, f"{kind}-{root.parent.name}-{root.name}"))
    here = discover(kind, root, split, SourceOptions())
    there = discover(kind, place, split, SourceOptions())
    assert listed(there, place) == listed(here, root)
    return there


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_class_folders(tmp_path, slow_server):
    synthetic.image_folder(tmp_path / "data", {"train": 30, "val": 6}, corrupt=5)
    for name in ("train/apple/.hidden.jpg", "train/readme.txt", "Thumbs.db", "train/brick/a/b.gif"):
        put(tmp_path / "data" / name, b"something")
    put(tmp_path / "data/train/cloud/no-extension", synthetic.picture(1))
    put(tmp_path / "data/train/cloud/LICENSE", b"text that is not short")
    put(tmp_path / "data/val/cloud/empty", b"")
    put(tmp_path / "data/train/cloud/\u00e9 %20#+&.jpg", synthetic.picture(1))
    put(tmp_path / "data/train/cloud/e\u0301 %20#+&.jpg", synthetic.picture(2))
    found = same_in_bucket("imagefolder", tmp_path, slow_server)
    assert found.listings["train"].ignored["hidden or system file"] == 2


@pytest.mark.parametrize("form", imagenet_forms.FORMS)
def test_imagenet_in_every_form(tmp_path, slow_server, form):
    form(tmp_path)
    found = same_in_bucket("imagenet", tmp_path, slow_server)
    root = as_path(f"s3://slow/imagenet-{tmp_path.parent.name}-{tmp_path.name}")
    assert imagenet_forms.rows(root, found) == imagenet_forms.expected_rows()


def test_kaggles_table_may_be_above_the_source(tmp_path, slow_server):
    imagenet_forms.as_kaggle(tmp_path)
    place = as_path(slow_server.load(tmp_path, "kaggle")) / "ILSVRC"
    found = discover("imagenet", place, None, SourceOptions())
    assert imagenet_forms.rows(place, found) == imagenet_forms.expected_rows()


def test_coco(tmp_path, slow_server):
    root = coco_folder(tmp_path / "coco")
    put(root / "val2017/not-listed.jpg", synthetic.picture(1))
    put(root / "annotations/captions_val2017.json", b'{"annotations": [{"caption": ""}]}')
    (root / "val2017/12.jpg").unlink()
    found = same_in_bucket("coco", root, slow_server)
    assert found.listings["val"].files.version.tolist()[1] == 0


def test_coco_names_matched_by_their_last_components(tmp_path, slow_server):
    root = coco_folder(tmp_path / "coco")
    (root / "val2017").rename(root / "pictures")
    path = root / "annotations/instances_val2017.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        image["file_name"] = f"/home/me/{image['file_name']}"
    path.write_text(json.dumps(document))
    same_in_bucket("coco", root, slow_server)


# --- requests -------------------------------------------------------------------------------------


def test_listing_is_one_list(tmp_path, slow_server):
    synthetic.image_folder(tmp_path, {"train": 120})
    slow_server.behave(page=50)
    place = as_path(slow_server.load(tmp_path, "many"))
    slow_server.counts()
    discover("imagefolder", place, None, SourceOptions())
    assert slow_server.counts().requests == {"LIST": 3}


def test_files_without_extension_are_asked_for_together(tmp_path, slow_server):
    for number in range(64):
        put(tmp_path / f"train/{'ab'[number % 2]}/{number}", synthetic.picture(number))
    place = as_path(slow_server.load(tmp_path, "unnamed"))
    slow_server.behave(delay=0.05)
    slow_server.counts()
    found = discover("imagefolder", place, None, SourceOptions())
    counts = slow_server.counts()
    assert len(found.listings["train"]) == 64
    assert counts.requests == {"LIST": 1, "GET": 64} and 16 < counts.at_once <= 32


def test_indexes_of_tars_are_read_together(tmp_path, slow_server):
    for number in range(20):
        tar = imagenet_forms.tar({f"{n}.JPEG": imagenet_forms.jpeg(n) for n in range(3)})
        put(tmp_path / f"train/n{number:08}.tar", tar)
    place = as_path(slow_server.load(tmp_path, "tars"))
    slow_server.behave(delay=0.05)
    slow_server.counts()
    found = discover("imagenet", place, None, SourceOptions())
    counts = slow_server.counts()
    assert len(found.listings["train"]) == 60
    assert counts.requests == {"LIST": 1, "HEAD": 20, "GET": 20}
    assert 8 <= counts.at_once <= 16


# --- what is refused ------------------------------------------------------------------------------


def test_a_web_server_cannot_be_listed(web_server):
    with pytest.raises(SourceError, match=r"cannot be listed; .*bucket.*by a pattern"):
        discover("imagefolder", as_path(f"{web_server.url}/photos"), None, SourceOptions())


def test_nothing_below_a_prefix(slow_server):
    with pytest.raises(SourceError, match=r"s3://slow/no/such is not a folder: no object"):
        discover("imagenet", as_path("s3://slow/no/such"), None, SourceOptions())


def test_keys_that_are_no_paths_are_named(bucket):
    for key in ("a//x.jpg", "a/../x.jpg", "a/./x.jpg"):
        bucket.put(f"odd/{key}", b"x")
        with pytest.raises(ObjectStoreError, match=r"odd/a/.*rename or delete"):
            source_tree(as_path(f"{bucket.url}/odd"))
        bucket.delete(f"odd/{key}")


def test_a_server_that_refuses_a_list(tmp_path, slow_server):
    slow_server.behave(Fault("403"))
    with pytest.raises(AccessDeniedError, match="s3://slow/refused"):
        discover("imagefolder", as_path("s3://slow/refused"), None, SourceOptions())


def test_an_annotation_file_that_changes_while_it_is_listed(tmp_path, slow_server):
    tree = source_tree(as_path(slow_server.load(coco_folder(tmp_path), "changing")))
    path = b"annotations/instances_val2017.json"
    (tree.root / path.decode()).write([b"{}"])
    with pytest.raises(SourceChangedError, match="instances_val2017"), tree.open(path) as file:
        file.read()


# --- annotations and images elsewhere -------------------------------------------------------------


def test_annotations_of_images_in_a_bucket_may_be_anywhere(tmp_path, slow_server, web_server):
    root = coco_folder(tmp_path / "coco")
    file = root / "annotations/instances_val2017.json"
    shutil.copy(file, web_server.folder)
    expected = listed(discover("coco", root, None, SourceOptions()), root)
    uploaded = as_path(slow_server.load(root, "elsewhere"))
    images = uploaded / "val2017"
    for annotations in (
        file,
        uploaded / "annotations" / file.name,
        as_path(f"{web_server.url}/{file.name}"),
    ):
        options = SourceOptions(annotations=annotations, images=images)
        found = listed(discover("coco", images, "val", options), images)
        for one in ("keys", "objects", "stated_sizes", "image_ids"):
            assert found["listings"]["val"][one] == expected["listings"]["val"][one]
        assert SourceOptions.of_texts(images, options.texts(images)) == options


def test_images_must_be_inside_a_source_in_a_bucket(tmp_path, slow_server):
    root = coco_folder(tmp_path / "coco")
    uploaded = as_path(slow_server.load(root, "apart"))
    inside = SourceOptions(images=uploaded / "val2017")
    assert len(discover("coco", uploaded, None, inside).listings["val"]) == 4
    for source, images in (
        (uploaded, root / "val2017"),
        (root, uploaded / "val2017"),
        (uploaded / "annotations", uploaded / "val2017"),
    ):
        with pytest.raises(SourceError, match="is not inside the source"):
            discover("coco", source, None, SourceOptions(images=images))
    with pytest.raises(SourceError, match="there is no such folder"):
        discover("coco", uploaded, None, SourceOptions(images=uploaded / "none"))


# --- the tree -------------------------------------------------------------------------------------


def test_a_bucket_is_the_tree_of_its_keys(tmp_path, slow_server):
    for name in ("b/y.jpg", "b/x.jpg", "b/c/z.jpg", "a.txt", "B/1"):
        put(tmp_path / name, name.encode())
    trees = LocalTree(tmp_path), source_tree(as_path(slow_server.load(tmp_path, "tree")))
    for folder in (b"", b"b", b"b/c", b"B"):
        here, there = (
            sorted((entry.name, entry.is_dir()) for entry in tree.entries(folder)) for tree in trees
        )
        assert here == there
        here, there = (list(tree.walk(folder, lambda name: name != b"c")) for tree in trees)
        assert here == there
    for path in (b"b/x.jpg", b"b", b"b/none", b"none/x", b"b/x.jpg/y", b"b/../a.txt"):
        here, there = (tree.stat(path) for tree in trees)
        assert (here is None) == (there is None)
        if there is not None:
            assert here.st_mode & 0o170000 == there.st_mode
    with trees[1].open(b"b/c/z.jpg") as file:
        assert file.read() == b"b/c/z.jpg"
    with pytest.raises(SourceError, match="none"):
        trees[1].open(b"none")


def test_markers_of_folders_are_no_files():
    objects = [(b"a", 0, 1), (b"a/x.jpg", 5, 1), (b"b.jpg", 7, 1), (b"b.jpg/y.jpg", 5, 1)]
    tree = ObjectTree(ObjectPath("s3://b", "k"), objects)
    names = Counter((entry.name, entry.is_dir()) for entry in tree.entries(b""))
    assert names == {(b"a", True): 1, (b"b.jpg", False): 1, (b"b.jpg", True): 1}


def test_a_file_and_a_folder_of_one_name_are_two_images(bucket):
    for key in ("a/b.jpg", "a/b.jpg/c.jpg", "d/e.jpg", "d/"):
        bucket.put(f"twins/{key}", b"" if key.endswith("/") else b"x")
    found = discover("imagefolder", as_path(f"{bucket.url}/twins"), None, SourceOptions())
    assert plain(found.listings["train"].keys) == [b"a/b.jpg", b"a/b.jpg/c.jpg", b"d/e.jpg"]
