"""Self-consistent stores that state what is not there, and what is no file in a file's place."""

import json
import os
import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import synthetic
from test_reader_refusals import restate_images

import freqprep
from freqprep.engines import Workers
from freqprep.errors import CorruptStoreError, FreqprepError
from freqprep.storage.disk import FileEntry
from freqprep.store.manifest import Manifest
from freqprep.store.verify import verify

IMAGES = [0, 257, 10**12, 2**62, -5, True, "160", 160.0, None, [], 1e300]
COMMANDS = (["info"], ["show", "0"], ["verify"])


@pytest.mark.parametrize("images", IMAGES)
def test_another_number_of_images_than_shards_are_listed_is_refused(copy, little_memory, images):
    restate_images(copy / "train", images)
    with pytest.raises(CorruptStoreError, match=r"shards|coefficients/c/|malformed"):
        freqprep.open_store(copy)["train"]
    (problem,) = verify(copy, Workers(1)).problems
    assert problem.where.split("/")[0] == "train"


@pytest.mark.parametrize("images", [-5, 10**12])
@pytest.mark.parametrize("words", COMMANDS)
def test_commands_end_with_one_line(copy, little_memory, words, images):
    restate_images(copy / "train", images)
    more = ["--split", "train", "-o", copy.parent / "o.png"] if words[0] == "show" else []
    done = synthetic.freqprep(words[0], copy, *words[1:], *more)
    assert done.returncode == 4 and "Traceback" not in done.stderr
    assert not (copy.parent / "o.png").exists()


DEEP = "[" * 200_000
SHALLOW_FOR_PYTHON = "[" * 400 + "]" * 400
DOCUMENTS = ("zarr.json", "train/zarr.json", "train/manifest.json")


@pytest.mark.parametrize("text", [DEEP, SHALLOW_FOR_PYTHON, '{"attributes": ' + DEEP])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_nested_documents_are_named_by_each_command(copy, document, text):
    (copy / document).write_text(text)
    for words in COMMANDS[::2]:
        done = synthetic.freqprep(words[0], copy)
        assert done.returncode and "Traceback" not in done.stderr
        assert document in done.stdout + done.stderr or "train" in done.stdout


FILES = {
    "a length of true": [True, "0" * 64],
    "a negative length": [-1, "0" * 64],
    "a length beyond files": [2**63, "0" * 64],
    "a length as text": ["5", "0" * 64],
    "no hash": [5],
    "a number as hash": [5, 5],
    "a text": "ab",
}


@pytest.mark.parametrize("entry", FILES.values(), ids=FILES)
def test_an_entry_that_is_no_length_with_a_hash_is_refused(copy, entry):
    path = copy / "train/manifest.json"
    document = json.loads(path.read_bytes())
    document["files"]["label/zarr.json"] = entry
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError, match="manifest"):
        freqprep.open_store(copy)["train"]


NAMES = [
    "../label",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "..",
    "a/..",
    "a\0b",
    "\ud800",
    "a\nb",
    "",
    "a/",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_outside_or_is_none_is_refused(copy, name):
    path = copy / "train/manifest.json"
    document = json.loads(path.read_bytes())
    document["files"][name] = [5, "0" * 64]
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError, match="lists a path outside"):
        freqprep.open_store(copy)["train"]


def test_a_key_twice_is_refused(copy):
    path = copy / "train/manifest.json"
    text = path.read_text().replace('"images"', '"images": 5, "images"', 1)
    path.write_text(text)
    with pytest.raises(CorruptStoreError, match="'images' is there twice"):
        freqprep.open_store(copy)["train"]


def frame(content: int) -> bytes:
    """A zstd frame that states its content's length: zeros, as blocks of one repeated byte."""
    block = 2**17
    whole, rest = divmod(content, block)
    sizes = [block] * min(whole, 2**12) + ([rest] if rest else [])
    blocks = [(size << 3 | 1 << 1).to_bytes(3, "little") + b"\0" for size in sizes]
    blocks[-1] = (sizes[-1] << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    head = b"\x28\xb5\x2f\xfd" + bytes([0b11000000, 0x50]) + struct.pack("<Q", content)
    return head + b"".join(blocks)


def without_length(content: int) -> bytes:
    data = frame(content)
    return data[:4] + bytes([0]) + data[5:6] + data[14:]


@pytest.mark.parametrize("make", [frame, without_length])
@pytest.mark.parametrize("content", [2**29, 2**40])
@pytest.mark.parametrize("name", ["label", "key"])
def test_a_chunk_that_expands_is_not_decoded(copy, little_memory, name, content, make):
    (chunk,) = (path for path in (copy / "train" / name / "c").rglob("*") if path.is_file())
    data = make(content)
    chunk.write_bytes(data + int(google_crc32c.value(data)).to_bytes(4, "little"))
    synthetic.reseal(copy / "train")
    split = freqprep.open_store(copy)["train"]
    with pytest.raises(CorruptStoreError, match=f"array {name} .*is not of"):
        split.array(name)


CODECS = [
    [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}, {"name": "crc32c"}],
    [{"name": "bytes"}, {"name": "blosc"}, {"name": "crc32c"}],
    [{"name": "sharding_indexed"}],
    [],
    "zstd",
    None,
]


@pytest.mark.parametrize("codecs", CODECS, ids=str)
def test_other_codecs_are_not_run(copy, codecs):
    path = copy / "train/label/zarr.json"
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, "codecs": codecs}))
    synthetic.reseal(copy / "train")
    with pytest.raises(CorruptStoreError, match=r"array label .* has a document that cannot be"):
        freqprep.open_store(copy)["train"].array("label")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**42)


SMALL = ("manifest.json", "zarr.json", "label/zarr.json", "label/c/0", "coefficients/c/0/0/0/0")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, endless, folder, sparse])
@pytest.mark.parametrize("name", SMALL)
def test_what_is_no_file_is_an_error_not_a_wait(copy, little_memory, name, make):
    path = copy / "train" / name
    path.unlink()
    make(path)
    if make is sparse and name == "coefficients/c/0/0/0/0":
        path.unlink()
        fifo(path)  # hashing four terabytes of nothing would take its time
    try:
        split = freqprep.open_store(copy)["train"]
    except (FreqprepError, OSError):
        pass
    else:
        with pytest.raises((FreqprepError, OSError)):
            split.read_codes(np.flatnonzero(split.valid)[:1])
            split.labels  # noqa: B018


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [fifo, endless])
@pytest.mark.parametrize("name", SMALL[2:])
def test_verify_names_what_is_no_file(copy, name, make):
    path = copy / "train" / name
    path.unlink()
    make(path)
    found = verify(copy, Workers(1)).problems
    assert found and any(name in problem.where or name in problem.what for problem in found)


def test_links_to_the_same_content_are_read(copy, tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    for number, name in enumerate(SMALL):
        path = copy / "train" / name
        path.rename(aside / str(number))
        path.symlink_to(aside / str(number))
    assert verify(copy, Workers(1)).problems == ()
    assert freqprep.open_store(copy)["train"].labels.size


def test_an_entry_of_more_bytes_than_a_small_file_has_is_refused(copy):
    manifest, _ = synthetic.read_manifest(copy / "train")
    files = {**manifest.files, "label/c/0": FileEntry(2**50, "0" * 64)}
    synthetic.write_manifest(copy / "train", Manifest(manifest.attributes, files))
    with pytest.raises(CorruptStoreError, match=r"label/c/0 has 1125899906842624 bytes"):
        freqprep.open_store(copy)["train"].array("label")
