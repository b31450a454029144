"""Conversions of a source in a bucket: the bytes of those from a folder, whatever happens."""

import os
import shutil
import signal

import pytest
import synthetic
from coco_folder import coco_folder
from imagenet_forms import as_archives, as_folders
from interruptions import journal_lines, stopped_after, under_way, wait_until
from slow_server import Fault

from freqprep.convert import shard_runs
from freqprep.convert.parts import convert_part, finalize, plan
from freqprep.convert.request import Request
from freqprep.engines.cluster import _unfit
from freqprep.engines.remote import Needs, perform, versions
from freqprep.errors import AccessDeniedError, SourceChangedError
from freqprep.storage.object_path import ObjectPath
from freqprep.storage.paths import as_path
from freqprep.store.log import log_path
from freqprep.store.part import Part

IMAGES = 520
"""As many as `many` has: 5 shards."""


@pytest.fixture(scope="module")
def loaded(many, one_slow_server) -> str:
    return one_slow_server.load(many, "source/many")


@pytest.fixture
def url(loaded, slow_server) -> str:
    return loaded


@pytest.fixture
def copy(many, slow_server, tmp_path) -> ObjectPath:
    """The same images below a prefix of their own, which may be changed."""
    return as_path(slow_server.load(many, f"source/{tmp_path.name}"))


def test_the_store_is_that_of_the_folder_for_a_request_an_image(
    url, many, expected, slow_server, tmp_path
):
    slow_server.counts()
    store = synthetic.make(as_path(url), tmp_path / "out.zarr")
    counts = slow_server.counts()
    assert synthetic.contents(store) == expected
    empty = sum(not path.stat().st_size for path in many.rglob("*.jpg"))
    assert counts.requests == {"LIST": 1, "GET": IMAGES - empty, "HEAD": empty}
    assert f'"source": "{url}"' in log_path(store).read_text()


def test_from_a_bucket_into_a_bucket(url, expected, slow_server):
    synthetic.make(as_path(url), as_path("s3://slow/made/out.zarr"), jobs=2)
    names = (name.removeprefix("made/out.zarr/") for name in slow_server.objects())
    assert expected.keys() <= set(names)


@pytest.mark.parametrize(
    ("kind", "form"), [("imagenet", as_folders), ("imagenet", as_archives), ("coco", coco_folder)]
)
def test_other_kinds(kind, form, slow_server, tmp_path):
    form(tmp_path / "source")
    place = as_path(slow_server.load(tmp_path / "source", f"kinds/{tmp_path.name}"))
    here = synthetic.make(tmp_path / "source", tmp_path / "a.zarr", kind=kind)
    there = synthetic.make(place, tmp_path / "b.zarr", kind=kind)
    assert synthetic.contents(there) == synthetic.contents(here)


def test_faults_that_pass(url, expected, slow_server, tmp_path):
    slow_server.behave(Fault("503", every=40), Fault("cut", every=90, methods=("GET",)))
    assert synthetic.contents(synthetic.make(as_path(url), tmp_path / "out.zarr")) == expected


def test_refusals_end_it_and_it_resumes(url, expected, slow_server, tmp_path):
    slow_server.behave(Fault("403", key="00499.jpg"))
    with pytest.raises(AccessDeniedError, match=r"source/many/train/.*00499\.jpg"):
        synthetic.make(as_path(url), tmp_path / "out.zarr")
    slow_server.behave()
    store = synthetic.make(as_path(url), tmp_path / "out.zarr", resume=True)
    assert synthetic.contents(store) == expected


def test_a_source_that_changed_is_not_resumed(monkeypatch, copy, tmp_path):
    store = tmp_path / "out.zarr"
    with stopped_after(monkeypatch, shard_runs, "convert_shard", 2):
        synthetic.make(copy, store)
    for name, _ in list(copy.files()):
        path = copy / name
        path.write([path.read_bytes() + b"\0"])
    with pytest.raises(SourceChangedError, match="has been written again"):
        synthetic.make(copy, store, resume=True)


@pytest.mark.parametrize("change", ["is gone", "has been written again"])
def test_a_change_between_plan_and_part(copy, tmp_path, change):
    request = Request("imagefolder", copy, tmp_path / "out.zarr", size=32, jobs=1)
    assert plan(request) == {"train": 5}
    path = copy / "train/apple/00000.jpg"
    if change == "is gone":
        path.delete()
    else:
        path.write([b"x" * path.size()])
    with pytest.raises(SourceChangedError, match=rf"00000\.jpg is not what .* {change}"):
        for number in (1, 2):
            convert_part(request, Part(number, 2))


def test_parts(url, expected, tmp_path):
    request = Request("imagefolder", as_path(url), tmp_path / "out.zarr", size=32, jobs=1)
    plan(request)
    for number in (2, 1):
        convert_part(request, Part(number, 2))
    finalize(request)
    assert synthetic.contents(tmp_path / "out.zarr") == expected


def test_what_was_repaired_is_tried_again(copy, many, slow_server, tmp_path):
    store = synthetic.make(copy, tmp_path / "out.zarr")
    broken = sorted(many.rglob("*.jpg"))[-1]  # as are the last ones of each class
    repaired = shutil.copytree(many, tmp_path / "repaired")
    (repaired / broken.relative_to(many)).write_bytes(synthetic.picture(1))
    (copy / broken.relative_to(many).as_posix()).write([synthetic.picture(1)])
    synthetic.make(copy, store, retry_rejected=True)
    again = synthetic.make(repaired, tmp_path / "again.zarr")
    assert synthetic.contents(store) == synthetic.contents(again)
    (copy / "train/apple/00000.jpg").write([synthetic.picture(1)])
    with pytest.raises(SourceChangedError):
        synthetic.make(copy, store, retry_rejected=True)


def test_killed_and_resumed(url, expected, slow_server, tmp_path):
    slow_server.behave(delay=0.02)
    store = tmp_path / "out.zarr"
    words = ["convert", "imagefolder", url, str(store), "--size", "32", "--jobs", "2"]
    with under_way(*words) as process:
        wait_until(process, lambda: journal_lines(store) > 1)
        os.killpg(process.pid, signal.SIGKILL)
    slow_server.behave()
    synthetic.make(as_path(url), store, resume=True)
    assert synthetic.contents(store) == expected


def test_a_cluster_s_worker_without_access_says_so(url, slow_server, monkeypatch):
    def answer(path: str) -> str:
        return str(_unfit(perform(Needs(versions(), (path,), "", ""), b"")))

    there = f"{url}/train/apple/00000.jpg"
    assert perform(Needs(versions(), (there,), "", ""), b"")[0] == "checked"
    assert slow_server.counts().sent <= 1  # a byte, not the image
    assert "does not see the bucket's" in (text := answer(f"{url}/none"))
    assert "AWS_ENDPOINT_URL" in text
    slow_server.behave(Fault("403"))
    text = answer(f"{url}/train/apple/00003.jpg")
    assert f"the worker on {os.uname().nodename} cannot do the work: it has no access" in text
    assert "give the worker's environment the credentials" in text
