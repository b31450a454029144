"""Networks: torchvision's, for coefficients or RGB, and trained RGB networks from files.

Public are the modules of ``__all__``: import names from them, as in
``from freqprep.models.networks import build``. torch is not needed to convert or to read; it is
imported only by the modules and functions that use it.
"""

__all__ = [
    "detection",
    "gate",
    "initial",
    "networks",
    "rgb",
]
