"""Importing torchvision, also where its compiled operators do not load.

torchvision's wheel on the registry is linked against CUDA. With a CPU-only torch its library
cannot be loaded, and ``import torchvision`` ends with "operator torchvision::nms does not exist".
Here the missing operators are defined first: all that classification and detection need. Compiled
operators that load are used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from freqprep.errors import MissingPackageError

if TYPE_CHECKING:
    import torch

_importing = threading.Lock()
"""Operators can be defined only once, and no thread may get a half-imported module."""

_REMEDY = "pip install 'freqprep[train]'"


def import_torchvision() -> ModuleType:
    """Import torchvision, ready for use; may be called any number of times.

    Raises
    ------
    MissingPackageError
        torch or torchvision is not installed.
    """
    for name in ("torch", "torchvision"):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            raise MissingPackageError(f"the package {name} is not installed", _REMEDY)
    with _importing:
        if "torchvision" in sys.modules:
            return sys.modules["torchvision"]
        try:
            return _import_with_operators()
        except (ImportError, OSError) as error:  # a library that it was built against is missing
            raise MissingPackageError(
                f"torch and torchvision cannot be imported: {error}", _REMEDY
            ) from None


def _import_with_operators() -> ModuleType:
    compiled = _load_compiled()
    if not compiled:
        _define_operators()
    torchvision = importlib.import_module("torchvision")
    if not compiled:
        # They only ask whether the library was loaded, not whether the operator is there. (The
        # package has a function of the second one's name, so the module is not its attribute.)
        for name in ("torchvision.ops.boxes", "torchvision.ops.roi_align"):
            module: Any = importlib.import_module(name)
            module._has_ops, module._assert_has_ops = lambda: True, lambda: None
    return torchvision


def nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Apply greedy non-maximum suppression, as torchvision does.

    Parameters
    ----------
    boxes : Tensor, shape (n, 4)
        x1, y1, x2, y2 on the CPU, of any real dtype.
    scores : Tensor, shape (n,)
    threshold : float
        Boxes with a greater intersection over union with a better one are dropped.

    Returns
    -------
    Tensor of int64, shape (kept,)
        Indices of the boxes kept, by falling score; equal scores in the order given.
    """
    import torch

    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1]:
        raise RuntimeError(
            f"nms takes boxes (n, 4) and scores (n), not {tuple(boxes.shape)} and"
            f" {tuple(scores.shape)}"
        )
    precision = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    corners = boxes.detach().to(precision).numpy()
    left = torch.sort(scores.detach(), descending=True, stable=True).indices.numpy()
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[~(_overlap(corners, areas, best, left) > threshold)]
    return torch.from_numpy(np.array(kept, np.int64))


def _overlap(
    corners: np.ndarray, areas: np.ndarray, one: np.integer, others: np.ndarray
) -> np.ndarray:
    """Compute the intersection over union of a box with others; NaN where both are empty."""
    x1, y1, x2, y2 = corners[one]
    them = corners[others]
    width = np.maximum(np.minimum(x2, them[:, 2]) - np.maximum(x1, them[:, 0]), 0)
    height = np.maximum(np.minimum(y2, them[:, 3]) - np.maximum(y1, them[:, 1]), 0)
    common = width * height
    with np.errstate(divide="ignore", invalid="ignore"):
        overlap: np.ndarray = common / (areas[one] + areas[others] - common)
        return overlap


def _load_compiled() -> bool:
    """Load torchvision's compiled operators; return whether they are there."""
    import torch

    operators: Any = torch.ops  # not typed
    spec = importlib.util.find_spec("torchvision")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        for path in sorted(Path(folder).glob("_C*")):
            if path.suffix in (".so", ".pyd"):
                try:
                    operators.load_library(str(path))
                except OSError:
                    return False
    return hasattr(operators.torchvision, "nms")


@cache
def _define_operators() -> Any:
    """Define the missing operators; the result keeps the definitions alive."""
    import torch
    from torch import library as torch_library

    from freqprep.models.roi_align import roi_align

    fragment: Any = torch_library.Library  # its methods have no types
    operators = fragment("torchvision", "FRAGMENT")
    suppression = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    signatures = {
        "nms": suppression,
        "qnms": suppression,  # import torchvision asks for it; nothing calls it
        "roi_align": "(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height,"
        " SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
    }
    for name, signature in signatures.items():
        if not hasattr(torch.ops.torchvision, name):
            operators.define(name + signature)
            if name == "nms":
                operators.impl(name, nms, "CPU")
            elif name == "roi_align":
                operators.impl(name, roi_align, "CompositeImplicitAutograd")
    return operators
