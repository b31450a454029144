"""Each command gives of a store in a bucket what it gives of the local copy."""

import json
import shutil
from pathlib import Path

import pytest
import synthetic

from freqprep.spectrum.channels import Selection, channels
from freqprep.store.selections import save_selection

pytestmark = pytest.mark.long


@pytest.fixture
def local(store, tmp_path) -> Path:
    """A copy with a saved selection."""
    copy = Path(shutil.copytree(store, tmp_path / "local.zarr"))
    save_selection(copy, Selection(channels("triangle-12").indices, "mine"), {"by": "hand"})
    return copy


@pytest.fixture
def url(bucket, local) -> str:
    return bucket.upload(local, "stores/local.zarr")


@pytest.fixture
def both(call, local, url):
    """Run a command on both stores; their outputs, in which STORE stands for the store."""

    def run(*words: object, code: int = 0) -> tuple[str, str]:
        """In the words, STORE stands for the store, and OUT for a path that tells the two."""
        printed = []
        for path, out in ((str(local), local.parent / "a"), (url, local.parent / "b")):
            given = [str(word).replace("OUT", str(out)).replace("STORE", path) for word in words]
            found, text, err = call(*given)
            assert found == code, err
            printed.append(text.replace(path, "STORE").replace(str(out), "OUT"))
        return printed[0], printed[1]

    return run


def test_what_is_printed_is_the_same(both):
    of_train = ["STORE", "--split", "train"]
    for words in (
        ["info", "STORE"],
        ["info", "STORE", "--json"],
        ["channels", "STORE", "--json"],
        ["channels", *of_train, "--channels", "12", "--json"],
        ["channels", "STORE", "--channels", "mine"],
        ["verify", "STORE", "--jobs", "1"],
        ["stats", *of_train, "--jobs", "1", "--budget", "mine", "--json"],
        ["stats", *of_train, "--jobs", "2", "--by", "energy", "--compare", "STORE/val", "--json"],
    ):
        one, other = both(*words)
        assert one == other and len(one) > 40, words


def test_verify_compares_with_the_source(both, source):
    one, other = both("verify", "STORE", "--source", source, "--jobs", "1")
    assert one == other and "images compared with the source" in one


def test_files_that_commands_write_are_the_same(both, tmp_path):
    one, other = both(
        *["show", "STORE", "0", "--split", "val", "--channels", "mine"],
        *["-o", "OUT.png", "--sheet", "OUT-sheet.png"],
    )
    assert one == other
    for name in (".png", "-sheet.png"):
        assert (tmp_path / f"a{name}").read_bytes() == (tmp_path / f"b{name}").read_bytes(), name
    both("stats", "STORE", "--split", "train", "--jobs", "1", "-o", "OUT.json")
    one, other = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    assert one.pop("sha256") != other.pop("sha256")  # of all else in the file, the name too
    assert one == {**other, "name": "a"}


def test_a_selection_is_saved_in_the_bucket(both, bucket):
    both("stats", "STORE", "--split", "train", "--jobs", "1", "--top", "8", "--save", "chosen")
    one, other = both("channels", "STORE", "--channels", "chosen", "--json")
    assert one == other and json.loads(one)["count"] == 8
    both("stats", "STORE", "--split", "train", "--save", "chosen", code=2)  # it is there
    assert "local.zarr/.selections/chosen.json" in "".join(bucket.keys())


def test_pack_reads_a_bucket(both, tmp_path):
    words = ["pack", "STORE", "OUT.zarr", "--channels", "mine", "--level", "3", "--jobs", "2"]
    one, other = both(*words)
    assert one == other
    assert synthetic.digest(tmp_path / "a.zarr") == synthetic.digest(tmp_path / "b.zarr")
    one, other = both(*words[:2], "OUT2.zarr", *words[3:], "--dry-run", "--json")
    splits = [json.loads(document)["splits"] for document in (one, other)]
    for name in ("train", "val"):
        assert {**splits[0][name], "minutes": 0} == {**splits[1][name], "minutes": 0}


def test_a_run_from_a_bucket_has_the_same_weights(both, url, tmp_path):
    torch = pytest.importorskip("torch")
    words = ["train", "STORE", "--model", "mobilenet_v2", "--channels", "mine", "--grid", "16"]
    words += ["--batch-size", "32", "--device", "cpu", "--run", "OUT", "--threads", "2"]
    both(*words, "--epochs", "1")
    weights = [torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in "ab"]
    for name, tensor in weights[0]["average"].items():
        assert torch.equal(tensor, weights[1]["average"][name]), name
    assert (tmp_path / "a/model.json").read_text() == (tmp_path / "b/model.json").read_text()
    one, other = both("evaluate", "OUT", "STORE", "--csv", "OUT.csv", "--json")
    assert one == other and json.loads(one)["images"] == 19
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "a.zarr", "--model", "resnet50", "--run", "s3://b/run"], "--run"),
        (["predict", "run", "s3://b/cat.jpg"], "IMAGE..."),
        (["show", "a.zarr", "0", "-o", "gs://b/row.png"], "--output"),
    ],
)
def test_other_paths_are_of_this_machine(call, words, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(*words)
    url = next(word for word in words if "://" in word)
    assert code == 2 and f"{name} takes a path of this machine, not a URL: {url};" in err
    assert not list(tmp_path.iterdir())


def test_a_url_of_an_unknown_kind_is_refused_by_name(call):
    code, _, err = call("info", "ftp://host/photos.zarr")
    assert code == 2 and err.startswith("error: ftp://host/photos.zarr: nothing is read by ftp")


def test_on_a_web_server_the_split_is_named(call, store, web_server):
    shutil.copytree(store, web_server.folder / "fit.zarr")
    url = f"{web_server.url}/fit.zarr"
    code, out, err = call("stats", url, "--split", "train", "--jobs", "1")
    assert code == 0, err
    assert f"train of {url}" in " ".join(out.split())
    for words in (["info"], ["info", "--json"], ["verify", "--jobs", "1"]):
        code, out, err = call(words[0], url, *words[1:], "--split", "train")
        assert code == 0 and out, err
    shard = web_server.folder / "fit.zarr/train/coefficients/c/1/0/0/0"
    shard.unlink()
    code, out, _ = call("verify", url, "--split", "train", "--jobs", "1")
    assert code == 4 and "coefficients/c/1/0/0/0: is missing" in out
    for command in ("stats", "info", "verify"):
        code, _, err = call(command, url)
        assert code == 2 and "cannot be listed" in err and "name the split" in err
