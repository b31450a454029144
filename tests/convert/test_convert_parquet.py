"""Conversion of Parquet tables: the same codes and objects as from files in folders."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from parquet_tables import class_label, noted, write
from PIL import Image

from freqprep.convert import Request, convert
from freqprep.convert.estimate import estimate
from freqprep.engines import Workers
from freqprep.storage.paths import as_path
from freqprep.store.reader import open_store
from freqprep.store.verify import verify
from freqprep.training.coco_truth import coco_truth

ALONE = Workers(1)
RNG = np.random.default_rng(0)
SIZES = [(32 + 8 * (n % 3), 40) for n in range(6)]


def jpeg(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(RNG.integers(0, 255, (*size, 3), np.uint8)).save(out, "JPEG")
    return out.getvalue()


IMAGES = [jpeg(size) for size in SIZES]
TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def column(images: list[bytes | None]) -> pa.Array:
    return pa.array([{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(images)], TYPE)


def test_a_table_gives_what_its_images_in_folders_give(tmp_path: Path):
    names = ("cat", "dog")
    for number, data in enumerate(IMAGES):
        path = tmp_path / "folders/train" / names[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    table = pa.table({"image": column(IMAGES), "label": [n % 2 for n in range(len(IMAGES))]})
    table = noted(table, label=class_label(names))
    write(tmp_path / "data/train-00000-of-00001.parquet", table, row_group_size=4)
    stores = {"imagefolder": "folders", "parquet": "data"}
    splits = []
    for kind, source in stores.items():
        request = Request(
            kind=kind, source=tmp_path / source, store=tmp_path / kind, size=64, jobs=1
        )
        convert(request)
        splits.append(open_store(tmp_path / kind)["train"])
    folders, tables = splits
    assert not verify(tmp_path / "parquet", ALONE).problems
    assert folders.attributes.class_ids == tables.attributes.class_ids
    rows = {key: row for row, key in enumerate(folders.keys)}
    for row, key in enumerate(tables.keys):
        other = rows[key]
        assert tables.labels[row] == folders.labels[other]
        codes = [split.read_codes(np.array([n])) for split, n in ((tables, row), (folders, other))]
        assert np.array_equal(*codes)


def test_objects_are_moved_by_the_sizes_of_the_images_where_none_are_stated(tmp_path: Path):
    boxes = [[[2.0, 4.0, 20.0, 16.0]], [], [[0.0, 0.0, 8.0, 8.0], [10.0, 4.0, 24.0, 12.0]]]
    objects = [
        {"bbox": box, "category": [0] * len(box), "segmentation": [[outline(b)] for b in box]}
        for box in boxes
    ]
    images = [IMAGES[0], IMAGES[1], None]
    rows = pa.table({"image": column(images), "objects": objects})
    stated = {"height": [h for h, _ in SIZES[:3]], "width": [w for _, w in SIZES[:3]]}
    write(tmp_path / "one/train.parquet", rows)
    both = rows.append_column("height", [stated["height"]])
    write(tmp_path / "two/train.parquet", both.append_column("width", [stated["width"]]))
    splits = []
    for name in ("one", "two"):
        request = Request(
            kind="parquet",
            source=tmp_path / name,
            store=tmp_path / f"{name}.zarr",
            size=16,
            jobs=1,
            classes=("5", "0"),
        )
        (summary,) = convert(request).values()
        assert summary.rejected == 1
        splits.append(open_store(tmp_path / f"{name}.zarr")["train"])
        assert not verify(request.store, ALONE).problems
    one, two = splits
    assert one.attributes.class_ids == (5, 0) and set(one.objects.label.tolist()) == {1}
    (first, *_) = (a for a in coco_truth(one)["annotations"] if a["id"] == 1)
    assert first["bbox"] == boxes[0][0] and first["category_id"] == 0
    for row in range(3):
        mine = one.objects.of(row)
        if not one.valid[row]:
            assert np.array_equal(one.objects.box[mine], boxes[2])
            assert one.defect(row) == "missing: null in the table"
            continue
        assert np.array_equal(one.objects.box[mine], two.objects.box[two.objects.of(row)])
        assert [one.ragged("mask").bytes_at(n) for n in range(*mine.indices(3))] == [
            two.ragged("mask").bytes_at(n) for n in range(*mine.indices(3))
        ]


def outline(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height]


def test_a_dry_run_reads_a_sample_of_a_table(tmp_path: Path):
    table = pa.table({"image": column(IMAGES), "label": [0] * len(IMAGES)})
    write(tmp_path / "train.parquet", table)
    request = Request(kind="parquet", source=tmp_path, store=tmp_path / "s", size=64, jobs=1)
    assert "train" in estimate(request)


def test_tables_behind_urls_give_the_same_store(tmp_path: Path, bucket, web_server):
    for part in range(2):
        images, labels = IMAGES[3 * part : 3 * part + 3], ["a", "b", "a"]
        table = pa.table({"image": column(images), "label": labels})
        write(web_server.folder / f"data/train-0000{part}-of-00002.parquet", table)
    local = web_server.folder / "data"
    sources = {
        "local": local,
        "bucket": as_path(bucket.upload(local, "set")),
        "web": as_path(f"{web_server.url}/data/train-{{00000..00001}}-of-00002.parquet"),
    }
    identities = set()
    for name, source in sources.items():
        store = tmp_path / f"{name}.zarr"
        convert(Request(kind="parquet", source=source, store=store, size=64, jobs=1))
        identities.add(open_store(store)["train"].content_id)
    assert len(identities) == 1
