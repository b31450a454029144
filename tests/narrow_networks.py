"""Networks of few channels: layers, their names, order and code are the wide ones'."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest import mock

from freqprep.models.torchvision_ops import import_torchvision


@contextmanager
def narrow_detectors() -> Iterator[None]:
    """Narrow the ResNet inside, the pyramid and the heads: a run takes a fifth of the time."""
    models = import_torchvision().models
    masks, boxes = models.detection.mask_rcnn, models.detection.faster_rcnn
    pyramids = models.detection.backbone_utils
    narrow = {
        **dict.fromkeys(
            [(module, "resnet50") for module in (models, boxes, masks)],
            lambda make: partial(make, width_per_group=8),
        ),
        (pyramids, "BackboneWithFPN"): lambda make: _with(make, {3: 32}),
        (boxes, "TwoMLPHead"): lambda make: _with(make, {1: 64}),
        (boxes, "FastRCNNPredictor"): lambda make: _with(make, {0: 64}),
        (masks, "MaskRCNNHeads"): lambda make: _with(make, {1: (16,) * 4}),
        (masks, "MaskRCNNPredictor"): lambda make: _with(make, {0: 16, 1: 16}),
    }
    with ExitStack() as stack:
        for (module, name), change in narrow.items():
            wide = getattr(module, name)
            stack.enter_context(mock.patch.object(module, name, change(wide)))
        yield


def _with(make: Callable, numbers: dict[int, object]) -> Callable:
    """Make with other numbers in some places of the arguments."""

    def made(*given: object, **named: object) -> object:
        return make(*[numbers.get(place, one) for place, one in enumerate(given)], **named)

    return made


@contextmanager
def narrow_classifiers() -> Iterator[None]:
    """Narrow the MobileNet by four, but for the first stage and the last features."""
    models = import_torchvision().models
    with mock.patch.object(models, "mobilenet_v2", partial(models.mobilenet_v2, width_mult=0.25)):
        yield
