"""How many workers there are when nobody says."""

import joblib

from freqprep.engines import Workers, local, workers


def test_by_default_there_is_a_process_a_core(monkeypatch):
    monkeypatch.setattr(workers, "default_jobs", local.default_jobs)  # other tests have one
    assert Workers().count == joblib.cpu_count()
    assert Workers(3).count == 3
