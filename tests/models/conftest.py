"""A small network whose norms do something, and the same with them folded."""

import numpy as np
import pytest
from folding import CLASSES, fold
from narrow_networks import narrow_detectors


@pytest.fixture(scope="session")
def plain():
    """A mobilenet_v2 whose norms do something."""
    torch = pytest.importorskip("torch")
    from freqprep.models.torchvision_ops import import_torchvision

    torch.manual_seed(0)
    module = import_torchvision().models.mobilenet_v2(weights=None, num_classes=CLASSES)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.8, 1.6)
            torch.nn.init.uniform_(layer.bias, -0.2, 0.4)
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.1, 0.5)
    return module.eval()


@pytest.fixture(scope="session")
def folded(plain) -> dict[str, np.ndarray]:
    """Its tensors with every norm folded into the convolution before it."""
    return fold(plain)


@pytest.fixture
def narrow():
    """Detectors of few channels, torchvision's own ones too."""
    pytest.importorskip("torch")
    with narrow_detectors():
        yield
