"""Weights, checkpoints and configs of anyone: none crashes, waits for ever, or takes all memory."""

import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

import freqprep
from freqprep.errors import RunError, UsageError
from freqprep.models.weight_files import load_torch_file, read_tensors
from freqprep.storage import pickle_checks
from freqprep.storage.pickle_checks import MOST_PARTS, check_pickle

torch = pytest.importorskip("torch")

DEEP = b"\x80\x02})" + b"\x85" * 10**6 + b"K\x01s."
"""A key of a million tuples inside each other: to hash it overflows the stack of C."""

WIDE = b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(40)) + b"K\x01s."
"""A key of 2**40 parts: each tuple has the one before it twice."""


def archive_with(pickled: bytes, name: str = "data.pkl") -> bytes:
    """A file of torch's whose pickle is another one."""
    saved, out = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.ones(2)}, saved)
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(out, "w") as written:
        for info in archive.infolist():
            is_pickle = info.filename.endswith("data.pkl")
            inside = info.filename.replace("data.pkl", name)
            written.writestr(inside, pickled if is_pickle else archive.read(info))
    return out.getvalue()


def old_form(pickled: bytes) -> bytes:
    """A file as torch wrote it before it wrote archives."""
    saved = io.BytesIO()
    torch.save({"a": torch.ones(2)}, saved, _use_new_zipfile_serialization=False)
    heads = io.BytesIO(saved.getvalue())
    for _ in range(3):
        assert check_pickle(heads)
    return saved.getvalue()[: heads.tell()] + pickled


FORMS = {
    "archive": archive_with,
    "archive in capitals": lambda pickled: archive_with(pickled, "DATA.PKL"),
    "old form": old_form,
    "old form before an archive": lambda pickled: old_form(pickled) + archive_with(b"N."),
    "pickle": lambda pickled: pickled,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pickled", [DEEP, WIDE], ids=["deep", "wide"])
def test_tuples_without_end_are_refused(tmp_path, form, pickled):
    path = tmp_path / "weights.pt"
    path.write_bytes(FORMS[form](pickled))
    with pytest.raises(ValueError, match=f"a tuple of more than {MOST_PARTS} parts"):
        load_torch_file(path)
    with pytest.raises(UsageError, match="a tuple of more than"):
        read_tensors(path)


def test_two_entries_of_one_name_are_refused(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(archive_with(pickle.dumps({})))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0].upper(), b"")
    with pytest.raises(ValueError, match="two of its entries have one name"):
        load_torch_file(path)


def test_steps_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(pickle_checks, "MOST_STEPS", 1000)
    with pytest.raises(ValueError, match="more than 1000 steps"):
        check_pickle(io.BytesIO(b"\x80\x02]" + b"Na" * 2000 + b"."))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(values, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_whole_pickles_pass_to_their_end(value, protocol):
    data = pickle.dumps(OrderedDict(a=[value, {1, 2}, complex(1, 2)]), protocol)
    file = io.BytesIO(data + b"behind")
    assert check_pickle(file)
    assert file.read() == b"behind"


@pytest.mark.parametrize("data", [b"", b"N", b"0.", b"h\x05.", b"\xff", b"t.", b"(("])
def test_what_is_no_whole_pickle_is_left_to_torch(data, tmp_path):
    assert not check_pickle(io.BytesIO(data))
    (tmp_path / "weights.pt").write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        load_torch_file(tmp_path / "weights.pt")


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_writes_is_read(tmp_path, new):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3, 2, 2)).sum().backward()
    optimizer.step()
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    path = tmp_path / "checkpoint.pt"
    torch.save(state, path, _use_new_zipfile_serialization=new)
    found = load_torch_file(path)
    assert found["epoch"] == 3 and found["optimizer"]["state"].keys() == {0, 1, 2, 3}
    assert torch.equal(found["network"]["0.weight"], network[0].weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_number_that_is_repeated_without_end_takes_no_memory(tmp_path, dtype):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.ones(1, dtype=dtype).expand(2**20, 2**20)}, path)
    assert path.stat().st_size < 5000
    with pytest.raises(UsageError, match=r"unpacks to 4\.40 TB, and no network"):
        read_tensors(path)


def test_a_checkpoint_whose_version_is_no_text_is_refused(tmp_path):
    from freqprep.training.checkpoint import CHECKPOINT, FORMAT_NAME, read_checkpoint

    endless: list[object] = []
    for _ in range(40):
        endless = [endless, endless]
    torch.save({"format": FORMAT_NAME, "format_version": endless}, tmp_path / CHECKPOINT)
    with pytest.raises(RunError, match="has format unknown"):
        read_checkpoint(tmp_path, None)


@pytest.mark.parametrize("detects", [False, True])
def test_more_classes_than_weights_may_have_are_refused(tmp_path, detects):
    import runs

    from freqprep.training.model_config import ModelConfig

    source = synthetic.image_folder(tmp_path / "images", {"train": 3})
    split = freqprep.open_store(synthetic.make(source, tmp_path / "s.zarr"))["train"]
    config = runs.make_detector_config(split) if detects else runs.make_config(split)
    document = json.loads(json.dumps(config.to_dict()))
    count = 2**16 + 1 if detects else 2**19 + 1
    document["classes"] = {"ids": list(range(count)), "names": ["x"] * count}
    with pytest.raises(RunError, match=f"{count} classes, and no network has more"):
        ModelConfig.from_dict(document)
    document["classes"] = {"ids": list(range(count - 1)), "names": ["x"] * (count - 1)}
    assert len(ModelConfig.from_dict(document).class_ids) == count - 1


def test_a_pipe_is_no_file_of_weights(tmp_path):
    path = tmp_path / "weights.pt"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is a FIFO"):
        load_torch_file(path)
