"""Arguments of another type or out of range are refused by name, not taken for something else."""

import numpy as np
import pytest

from freqprep.convert import Request
from freqprep.engines import Workers
from freqprep.errors import UsageError
from freqprep.importance.request import StatsRequest
from freqprep.pack import PackRequest
from freqprep.progress import show_progress
from freqprep.storage.paths import as_path


def request(**options: object) -> Request:
    return Request("imagefolder", "photos", "photos.zarr", **options)


def pack(**options: object) -> PackRequest:
    return PackRequest("one.zarr", "two.zarr", **options)


def training(**options: object) -> object:
    from freqprep.training.recipe import PRESETS
    from freqprep.training.request import TrainingRequest

    recipe = PRESETS["short"]["resnet50"]
    return TrainingRequest("s.zarr", "run", "resnet50", **{"recipe": recipe, **options})


def recipe(**options: object) -> object:
    from freqprep.training.recipe import Recipe

    return Recipe(**{"epochs": 1, "batch_size": 8, "lr": 0.1, **options})


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (request, {"resume": "no"}, "resume of Request must be True or False, got 'no'"),
        (request, {"overwrite": 1}, "overwrite of Request must be True or False, got 1"),
        (request, {"size": "256"}, "size of Request must be a whole number or None, got '256'"),
        (request, {"size": True}, "size of Request must be a whole number or None, got True"),
        (request, {"seed": 1.5}, "seed of Request must be a whole number, got 1.5"),
        (request, {"split": 3}, "split of Request must be a text or None, got 3"),
        (request, {"precision": "int8"}, "precision of Request must be Precision, got 'int8'"),
        (request, {"classes": "cat"}, "classes is 'cat', one text; give a tuple"),
        (pack, {"level": "9"}, "level of PackRequest must be a whole number or None, got '9'"),
        (pack, {"resume": "no"}, "resume of PackRequest must be True or False, got 'no'"),
        (Workers, {"jobs": "2"}, "jobs of Workers must be a whole number or None, got '2'"),
        (StatsRequest, {"top": 2.0}, "top of StatsRequest must be a whole number, got 2.0"),
        (training, {"compile": "no"}, "compile of TrainingRequest must be True or False, got 'no'"),
        (training, {"recipe": "short"}, "recipe of TrainingRequest must be Recipe, got 'short'"),
        (recipe, {"lr": "0.1"}, "lr of Recipe must be a number, got '0.1'"),
        (recipe, {"clip": float("nan")}, "clip nan cannot be used; use 0 or more"),
        (show_progress, {"shown": "no"}, "shown must be True or False, got 'no'"),
        (as_path, {"text": 5}, "5 is no path; give a str"),
    ],
)
def test_another_type_is_refused_by_name(make, options, said):
    if make in (training, recipe):
        pytest.importorskip("torch")
    with pytest.raises(UsageError) as error:
        make(**options)
    assert str(error.value).startswith(said)


def test_numbers_of_numpy_are_numbers():
    made = request(size=np.int64(64), resume=np.bool_(True))
    assert made == request(size=64, resume=True)
    assert type(made.size) is int and type(made.resume) is bool
