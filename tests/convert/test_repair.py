"""Repair gives back the store to the byte, whatever was damaged; what it cannot do, it says."""

import os
import shutil
from pathlib import Path

import damage
import pytest
import synthetic
from image_tables import image_tables, rewrite_images, small_windows

from freqprep.convert import repair_shards
from freqprep.convert.repair import Repaired, RepairRequest, repair
from freqprep.engines import Workers
from freqprep.errors import SourceChangedError, StoreError, StoreLockedError, UsageError
from freqprep.storage.paths import as_path
from freqprep.store import verify_documents
from freqprep.store.lock import store_lock
from freqprep.store.verify import verify

SHARD = "train/coefficients/c/1/0/0/0"
SPLITS = {"train": 140, "val": 12}


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return synthetic.image_folder(tmp_path_factory.mktemp("repair"), SPLITS, corrupt=3)


@pytest.fixture(scope="module")
def victim(images, tmp_path_factory) -> Path:
    """A store that each test damages, and has repaired."""
    return synthetic.make(images, tmp_path_factory.mktemp("repair") / "out.zarr", size=16)


@pytest.fixture(scope="module")
def whole(victim) -> dict[str, bytes]:
    return synthetic.contents(victim)


def repaired(store, source, **options) -> Repaired:
    return repair(RepairRequest(as_path(store), source, workers=Workers(1), **options))


def left(result: Repaired) -> dict[str, Exception]:
    return {one.problem.where: one.error for one in result.repairs if one.error}


def put_back(store: Path, whole: dict[str, bytes]) -> None:
    for name, data in whole.items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(data)


@pytest.mark.parametrize("kind", damage.DAMAGES)
def test_a_store_is_given_back_to_the_byte(victim, whole, images, kind):
    """Every file gone and every file changed; each other damage of each fourth file.

    `test_damage_of_any_file` has all of them found, which is all that a repair goes by.
    """
    chosen = ("coefficients", "label", "valid", "key_offset", "moment_total")
    names = [n for n in whole if n.count("/") < 2 or n.split("/")[1] in chosen]
    files = list(enumerate(n for n in names if not n.startswith("val/")))
    if kind not in ("deleted", "flipped"):
        files = files[list(damage.DAMAGES).index(kind) % 4 :: 4]
    for number, name in files:
        damage.DAMAGES[kind](victim / name, damage.other_of(victim, name), number)
        found = repaired(victim, images)
        assert not left(found) and not found.verified.problems, name
        assert synthetic.contents(victim) == whole, name


@pytest.mark.parametrize("name", ["zarr.json", "train/zarr.json", "train/label/c/0", SHARD])
def test_what_is_in_the_way_is_named_and_all_else_repaired(victim, whole, images, name):
    for other in ("val/label/c/0", "val/coefficients/c/0/0/0/0"):
        (victim / other).unlink()
    (victim / name).unlink()
    (victim / name).mkdir()
    found = left(repaired(victim, images))
    assert list(found) == [name] and "a folder is in its place" in str(found[name])
    (victim / name).rmdir()
    assert not left(repaired(victim, images))
    assert synthetic.contents(victim) == whole


def test_a_file_in_place_of_a_folder_is_in_the_way(victim, whole, images):
    shutil.rmtree(victim / "train/label")
    (victim / "train/label").write_bytes(b"")
    errors = left(repaired(victim, images))
    assert "one of its folders is a file; move that away" in str(errors["train/label/c/0"])
    (victim / "train/label").unlink()
    assert not left(repaired(victim, images))
    assert synthetic.contents(victim) == whole


def test_many_damages_at_once_are_repaired(victim, whole, images):
    for name in ("zarr.json", "train/label/zarr.json", "train/size/c/0/0", SHARD, "val/key/c/0"):
        (victim / name).unlink()
    for name in ("val/zarr.json", "val/coefficients/c/0/0/0/0", "val/note_offset/zarr.json"):
        (victim / name).write_bytes(b"{}")
    found = repaired(victim, images)
    put_back(victim, {}) if not left(found) else put_back(victim, whole)
    assert set(left(found)) <= {"val/zarr.json"}
    assert synthetic.contents(victim) == whole


def test_documents_are_repaired_without_a_source(victim, whole):
    for name in ("zarr.json", "train/zarr.json", "train/label/zarr.json"):
        (victim / name).write_bytes(b"")
        assert not left(repaired(victim, None)), name
        assert synthetic.contents(victim) == whole
    (victim / SHARD).write_bytes(b"")
    (error,) = left(repaired(victim, None)).values()
    assert isinstance(error, UsageError) and "--source" in str(error)
    put_back(victim, whole)


def test_a_manifest_is_not_made_again_from_what_is_damaged(victim, whole, images):
    (victim / "train/manifest.json").unlink()
    (victim / SHARD).write_bytes(b"other")
    before = synthetic.contents(victim)
    (error,) = left(repaired(victim, images)).values()
    assert "--overwrite" in str(error)
    assert synthetic.contents(victim) == before
    put_back(victim, whole)


def test_a_changed_source_is_named_and_changes_nothing(victim, whole, images, tmp_path):
    source = Path(shutil.copytree(images, tmp_path / "source"))
    (victim / SHARD).write_bytes(b"")
    before = synthetic.contents(victim)
    keys = set(verify_documents.open_damaged(victim)["train"].keys[128:])
    changed = sorted(keys)[0]
    (source / "train" / changed).write_bytes(synthetic.picture(77))
    (error,) = left(repaired(victim, source)).values()
    assert isinstance(error, SourceChangedError) and changed in str(error)
    (source / "train" / changed).unlink()
    (error,) = left(repaired(victim, source)).values()
    assert "139 images of train" in str(error)
    assert synthetic.contents(victim) == before
    assert not left(repaired(victim, images))
    assert synthetic.contents(victim) == whole


def test_other_library_versions_are_refused(victim, whole, images, monkeypatch):
    (victim / SHARD).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(repair_shards, "library_versions", lambda: {"zarr": "99"})
        (error,) = left(repaired(victim, images)).values()
    assert isinstance(error, UsageError) and "library versions" in str(error)
    assert not (victim / SHARD).exists()
    assert not left(repaired(victim, images))
    assert synthetic.contents(victim) == whole


def test_other_bytes_of_the_same_images_are_not_taken(victim, whole, images, monkeypatch):
    (victim / SHARD).unlink()
    original = repair_shards.shard_results
    with monkeypatch.context() as patch:

        def other_level(plan, *given):
            import dataclasses

            level = dataclasses.replace(plan.attributes, level=9)
            return original(dataclasses.replace(plan, attributes=level), *given)

        patch.setattr(repair_shards, "shard_results", other_level)
        (error,) = left(repaired(victim, images)).values()
    assert "comes out with other bytes" in str(error)
    assert not (victim / SHARD).exists()
    put_back(victim, whole)


def test_what_repair_does_not_make_stays_and_is_named(victim, whole, images):
    for name in ("stray", "train/stray", "train/coefficients/c/9/0/0/0"):
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_bytes(b"mine")
        (error,) = left(repaired(victim, images)).values()
        assert name.removeprefix("train/") in str(error) and "remove it" in str(error)
        assert (victim / name).read_bytes() == b"mine"
        (victim / name).unlink()
    shutil.rmtree(victim / "train/coefficients/c/9")
    (victim / ".selections").mkdir()
    (victim / ".selections/mine.json").write_bytes(b"")
    (error,) = left(repaired(victim, images)).values()
    assert f"stats {victim} --save mine`" in str(error) and "restore it" in str(error)
    shutil.rmtree(victim / ".selections")
    assert synthetic.contents(victim) == whole


def test_two_repairs_at_once_are_refused(victim, images):
    with store_lock(victim), pytest.raises(StoreLockedError):
        repaired(victim, images)


def test_what_is_no_store_is_refused_and_no_lock_is_left(tmp_path, images):
    with pytest.raises(StoreError):
        repaired(tmp_path / "none/out.zarr", images)
    assert not os.listdir(tmp_path)


def test_one_split_is_repaired_alone(victim, whole, images):
    for split in ("train", "val"):
        (victim / split / "label/c/0").unlink()
    assert not repaired(victim, images, split="val").verified.problems
    assert [p.where for p in verify(victim, Workers(1)).problems] == ["train/label/c/0"]
    assert not left(repaired(victim, images))
    assert synthetic.contents(victim) == whole


def test_the_command_lists_what_it_did(victim, whole, images):
    (victim / SHARD).write_bytes(b"x")
    done = synthetic.freqprep("repair", victim, "--source", images)
    assert done.returncode == 0, done.stderr
    assert f"{SHARD}: " in done.stdout and "1 file repaired, 0 not" in done.stdout
    assert synthetic.contents(victim) == whole
    done = synthetic.freqprep_json("repair", victim)
    assert done["ok"] and done["repairs"] == []
    (victim / SHARD).write_bytes(b"x")
    done = synthetic.freqprep("repair", victim)
    assert done.returncode == 4 and "NOT repaired" in done.stdout and "NOT WHOLE" in done.stdout
    put_back(victim, whole)


def test_a_dry_run_foretells_the_repair_and_writes_nothing(victim, whole, images, tmp_path):
    damaged = {"zarr.json", "train/zarr.json", SHARD, "val/label/c/0", "val/valid/zarr.json"}
    (victim / "stray").touch()
    for name in damaged:
        (victim / name).write_bytes(b"x")
    before = synthetic.contents(victim)
    beside = sorted(victim.parent.iterdir())
    foretold = repaired(victim, images, dry_run=True)
    assert synthetic.contents(victim) == before and sorted(victim.parent.iterdir()) == beside
    assert set(left(foretold)) == {"stray"}, left(foretold)
    alone = repaired(victim, None, dry_run=True)
    assert set(left(alone)) == {"stray", "val/label/c/0"}  # train is read once its document is
    done = repaired(victim, images)
    follows = {"val/zarr.json"}  # from val/valid/zarr.json, and is right once that is
    known = {one.problem.where for one in foretold.repairs} - follows
    assert known <= {one.problem.where for one in done.repairs}
    assert set(left(done)) == {"stray"}
    (victim / "stray").unlink()
    assert synthetic.contents(victim) == whole
    (victim / SHARD).unlink()
    fewer = synthetic.image_folder(tmp_path / "fewer", SPLITS | {"train": 139}, corrupt=3)
    assert "139" in str(left(repaired(victim, fewer, dry_run=True))[SHARD])
    printed = synthetic.freqprep("repair", victim, "--source", images, "--dry-run")
    assert printed.returncode == 4 and "1 file would be repaired, 0 not" in printed.stdout
    document = synthetic.freqprep_json("repair", victim, "--source", images, "--dry-run", code=4)
    assert document["dry_run"] and document["repaired"] == 0
    (one,) = document["repairs"]
    assert (one["where"], one["error"]) == (SHARD, None)
    assert not (victim / SHARD).exists()
    put_back(victim, whole)


def test_tables_are_read_again(tmp_path, monkeypatch):
    small_windows(monkeypatch.setattr)
    (tmp_path / "tables").mkdir()
    source = image_tables(tmp_path / "tables", {"train": 600}, corrupt=3)
    store = synthetic.make(source, tmp_path / "out.zarr", kind="parquet", size=16)
    before = synthetic.contents(store)
    for name in ("coefficients/c/1/0/0/0", "coefficients/c/4/0/0/0", "listing_index/c/0"):
        (store / "train" / name).unlink()
    assert not left(repaired(store, source))
    assert synthetic.contents(store) == before
    (store / "train/coefficients/c/1/0/0/0").unlink()
    rewrite_images(next(source.glob("*.parquet")), lambda cells: cells[1:] + cells[:1])
    (error,) = left(repaired(store, source)).values()
    assert "--overwrite" in str(error)
