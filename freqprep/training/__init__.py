"""Training, evaluating, predicting and exporting networks.

Public are the modules of ``__all__``: import names from them, as in
``from freqprep.training.loop import train``.
"""

__all__ = [
    "checkpoint",
    "distributed",
    "evaluate_run",
    "export",
    "loop",
    "model_config",
    "predict_classes",
    "predict_files",
    "predict_objects",
    "recipe",
    "request",
    "sweep",
]
