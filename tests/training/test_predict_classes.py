"""Answers for files are those of the same images in a store, and no file stops the others."""

import os
from pathlib import Path

import numpy as np
import pytest
import runs
import synthetic
import torch

from freqprep.errors import RunError, SourceError
from freqprep.sources.files import shown
from freqprep.store.reader import open_store
from freqprep.training.predict_classes import Prediction, predict_classes
from freqprep.training.predict_files import Failure, find_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(store):
    train = open_store(store)["train"]
    config = runs.make_config(train)
    return config, runs.make_network(config, train)


def shares(prediction):
    """Probability of each class, in the order of the classes."""
    return prediction.probabilities[np.argsort(prediction.classes)]


@pytest.mark.parametrize("kind", ["frequency", "gate", "rgb"])
@pytest.mark.parametrize("fixture", ["store", "crop_store", "fine_store", "subset_store"])
def test_files_get_the_answers_of_their_rows(fixture, kind, request, source):
    splits = open_store(request.getfixturevalue(fixture))
    config = runs.make_config(splits["train"], kind.replace("gate", "frequency"), kind == "gate")
    network = runs.make_network(config, splits["train"])
    val = splits["val"]
    with torch.inference_mode():
        wanted = network(runs.inputs_of(config, val)).double().softmax(1).numpy()
    files = [os.fsencode(source / "val" / key) for key in val.keys]
    # The network is shown the same codes, but in another layout of memory and in batches of another
    # size: convolution then adds up float32 products in an order of the processor's, and shares
    # differ by 1e-5 or so.
    for batch_size in (len(files), 7):
        found = list(predict_classes(config, network, CPU, files, batch_size=batch_size))
        assert [one.path for one in found] == files
        assert [isinstance(one, Prediction) for one in found] == val.valid.tolist()
        for row, one in enumerate(found):
            if isinstance(one, Failure):
                assert str(one.defect) == val.defect(row)
        answers = np.array([shares(one) for one in found if isinstance(one, Prediction)])
        np.testing.assert_allclose(answers, wanted, rtol=0, atol=1e-4)
        assert (answers.argmax(1) == wanted.argmax(1)).all()
    assert len(np.unique(wanted.argmax(1))) > 1


def test_hostile_files_are_named_and_the_others_go_on(model, tmp_path):
    files = {
        "a.jpg": synthetic.picture(1),
        "empty.jpg": b"",
        "text.jpg": b"not an image at all",
        "cut.jpg": synthetic.broken(2),
        "z.png": synthetic.picture(3),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    names = [*files, "folder.jpg", "pipe.jpg", "missing.jpg"]
    paths = [os.fsencode(tmp_path / name) for name in names]
    for batch_size in (1, 3, 100):
        found = list(predict_classes(*model, CPU, paths, batch_size=batch_size))
        reasons = {
            os.path.basename(one.path): one.defect.reason
            for one in found
            if isinstance(one, Failure)
        }
        assert reasons == {
            b"empty.jpg": "empty",
            b"text.jpg": "not_an_image",
            b"cut.jpg": "corrupt",
            b"folder.jpg": "not_a_file",
            b"pipe.jpg": "not_a_file",
            b"missing.jpg": "missing",
        }
        assert sum(isinstance(one, Prediction) for one in found) == 2


def test_the_most_probable_come_first_as_many_as_asked_for(model, tmp_path):
    (tmp_path / "a.jpg").write_bytes(synthetic.picture(1))
    path = os.fsencode(tmp_path / "a.jpg")
    (every,) = predict_classes(*model, CPU, [path], top=99)
    assert sorted(every.classes) == [0, 1, 2]
    assert every.probabilities.sum() == pytest.approx(1)
    assert (np.diff(every.probabilities) <= 0).all()
    (two,) = predict_classes(*model, CPU, [path], top=2)
    assert two.classes.tolist() == every.classes[:2].tolist()
    document = two.to_dict(model[0])
    assert document["predictions"][0] == {
        "class_id": model[0].class_ids[two.classes[0]],
        "class_name": model[0].class_names[two.classes[0]],
        "probability": float(two.probabilities[0]),
    }


def test_answers_that_are_no_numbers_are_an_error(model, tmp_path):
    (tmp_path / "a.jpg").write_bytes(synthetic.picture(1))
    config, network = model
    broken = torch.nn.Sequential(network, torch.nn.Threshold(torch.inf, torch.nan))
    with pytest.raises(RunError, match="not finite"):
        list(predict_classes(config, broken, CPU, [os.fsencode(tmp_path / "a.jpg")]))


def test_a_folder_stands_for_its_images_sorted(tmp_path, capsys):
    for name in ("b/2.jpg", "b/1.jpg", "a.png", "b/deep/x", "notes.txt", ".hidden.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"words" if name == "notes.txt" else synthetic.picture(1))
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "none").mkdir()
    raw = os.path.join(os.fsencode(tmp_path), b"\xff.jpg")
    places = [tmp_path / "none", tmp_path / "in", tmp_path / "no.jpg", os.fsdecode(raw)]
    found = find_images(places)
    inside = [os.fsencode(tmp_path / "in" / n) for n in ("a.png", "b/1.jpg", "b/2.jpg", "b/deep/x")]
    assert found == [*inside, os.fsencode(tmp_path / "no.jpg"), raw]
    assert f"no image in {tmp_path / 'none'}" in capsys.readouterr().err
    with pytest.raises(SourceError, match="no image"):
        find_images([tmp_path / "none"])
    escaped = Path(shown(raw))
    assert find_images([escaped]) == [os.fsencode(escaped)]
    with open(raw, "wb"):
        assert find_images([escaped]) == [raw]  # as it is printed
