"""``--cache`` and ``--cache-bytes`` of the commands that read a store again and again."""

import pytest

from freqprep.errors import UsageError
from freqprep.text.quantities import parse_size

TRAIN = ["--model", "mobilenet_v2", "--channels", "paper-6", "--grid", "16", "--epochs", "1"]
TRAIN += ["--batch-size", "32", "--device", "cpu"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64000000", 64_000_000),
        ("50GB", 50 * 10**9),
        ("1.5 TB", 15 * 10**11),
        ("64mb", 64 * 10**6),
        ("2GiB", 2**31),
        ("0.1KB", 100),
        ("7 B", 7),
    ],
)
def test_sizes(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "50 gigabytes", "1,5TB", "50G"])
def test_no_sizes(text):
    with pytest.raises(UsageError, match="is no number of bytes"):
        parse_size(text)


def test_evaluations_share_a_cache(call, store, run_folder, slow_server, tmp_path):
    url = slow_server.load(store, "commands.zarr")
    cache = ["--cache", str(tmp_path / "cache"), "--cache-bytes", "20MB"]
    found = []
    for more in ([], cache, cache):
        slow_server.counts()
        code, out, err = call("evaluate", str(run_folder), url, "--json", *more)
        assert code == 0, err
        found.append((out, slow_server.counts().requests["GET"]))
    assert found[0][0] == found[1][0] == found[2][0]
    assert found[2][1] <= found[0][1] - 2  # the shard's index and its channels


def test_both_splits_of_a_run_are_cached(store, tmp_path):
    pytest.importorskip("torch")
    from freqprep.training.planning import plan
    from freqprep.training.recipe import preset_recipe
    from freqprep.training.request import TrainingRequest

    request = TrainingRequest(
        store=store,
        run=tmp_path / "run",
        model="mobilenet_v2",
        recipe=preset_recipe("short", "mobilenet_v2", batch_size=32),
        channels="paper-6",
        grid=16,
        cache=tmp_path / "cache",
        cache_bytes=10**8,
    )
    planned = plan(request, 1)
    assert planned.val is not None
    for split in (planned.train, planned.val):
        assert split.shard_cache.cache.folder == tmp_path / "cache"
        assert split.shard_cache.cache.limit == 10**8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--cache", "DIR"], "a cache has a folder and a limit in bytes"),
        (["--cache-bytes", "1GB"], "a cache has a folder and a limit in bytes"),
        (["--cache", "DIR", "--cache-bytes", "1"], "a cache of 1 bytes is too small"),
        (["--cache", "STORE", "--cache-bytes", "1GB"], "is in the store"),
        (["--cache", "DIR", "--cache-bytes", "many"], "'many' is no number of bytes"),
        (["--cache", "s3://bucket/key", "--cache-bytes", "1GB"], "s3://bucket/key"),
    ],
)
def test_wrong_caches(call, store, tmp_path, given, message):
    pytest.importorskip("torch")
    places = {"DIR": str(tmp_path / "cache"), "STORE": str(store)}
    words = [places.get(word, word) for word in given]
    code, _, err = call("train", str(store), "--run", str(tmp_path / "run"), *TRAIN, *words)
    assert code == 2 and message in err
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())
