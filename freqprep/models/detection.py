"""Detectors: torchvision's Faster and Mask R-CNN over a ResNet-50-FPN without its stem.

Everything is torchvision's, names included; only the layers before the first stage are left out
for frequency inputs, and torchvision's own resizing and normalising is never run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from freqprep.arguments import check_flags, check_integer
from freqprep.errors import UsageError
from freqprep.models.networks import check_name, check_positive, open_resnet
from freqprep.models.torchvision_ops import import_torchvision

__all__ = ["Detector", "build_detector"]

DETECTORS = ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn")
"""Architectures, by torchvision's names."""

MASK_DETECTORS = ("maskrcnn_resnet50_fpn",)
"""Architectures that predict masks as well."""

DETECTOR_INPUTS = ("frequency", "rgb")
"""Kinds of input of a detector."""

STAGES = ("layer4", "layer3", "layer2", "layer1")
"""Stages of the backbone, last first: the order in which they are unfrozen."""

CANVAS_MULTIPLE = 32
"""Sides of a batch's canvas, in frame pixels, are multiples of the last stage's stride."""

FRAME_STRIDES = {"frequency": 4, "rgb": 1}
"""Frame pixels per position of the input, along each axis."""

_WIDTHS = [256, 512, 1024, 2048]  # channels of the stages


class Detector(nn.Module):
    """Detector of images that were resized and normalised beforehand; boxes are in their frame.

    Parameters
    ----------
    parts : torchvision.models.detection.FasterRCNN
        Or ``MaskRCNN``; its backbone, region proposals and heads are used.
    stride : int
        Frame pixels per position of the input.
    trained_stages : int
        See `build_detector`.

    Attributes
    ----------
    stride : int
        Frame pixels per position of the input: 4, or 1 for RGB.
    has_masks : bool
        Whether it is a Mask R-CNN.
    """

    def __init__(self, parts: Any, stride: int, trained_stages: int) -> None:
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = parts.backbone, parts.rpn, parts.roi_heads
        self.stride = stride
        self.has_masks = bool(parts.roi_heads.has_mask())
        trained = STAGES[:trained_stages]
        body = dict(self.backbone.body.named_children())
        frozen = [] if trained_stages == len(STAGES) else [n for n in body if n not in trained]
        self._frozen = [body[name] for name in frozen]
        for layer in self._frozen:
            layer.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Detector:
        """Set the mode; frozen stages stay in evaluation mode and keep their norms' statistics."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def forward(
        self,
        images: torch.Tensor,
        sizes: list[tuple[int, int]],
        targets: list[dict[str, torch.Tensor]] | None = None,
    ) -> dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]:
        """Compute losses while training, detections otherwise.

        Parameters
        ----------
        images : Tensor of float, shape (n, channels, rows, columns)
            Normalised; zero beyond an image's own frame. Rows and columns times the stride are
            multiples of 32.
        sizes : list of tuple of int
            Height and width of each image's frame: boxes are clipped to it.
        targets : list of dict, optional
            For each image: ``boxes`` float32 (k, 4), x1 y1 x2 y2 in the frame; ``labels`` int64
            (k,) from 1; ``iscrowd`` bool (k,): crowds are left out; for a Mask R-CNN ``masks``
            uint8 (k, height, width) of the frame. Required while training, ignored otherwise.

        Returns
        -------
        dict of str to Tensor
            While training, torchvision's losses: ``loss_classifier``, ``loss_box_reg``,
            ``loss_objectness``, ``loss_rpn_box_reg`` and, with masks, ``loss_mask``. Anchors and
            regions are sampled with torch's global generator.
        list of dict
            Otherwise, for each image: ``boxes`` float32 (k, 4) in the frame, ``labels`` int64 (k,)
            from 1, ``scores`` float32 (k,), falling, and with masks ``masks`` float32
            (k, 1, 28, 28), probabilities over the box.

        Raises
        ------
        UsageError
            The canvas is no multiple of 32 frame pixels, or targets are missing in training.
        """
        height, width = (self.stride * side for side in images.shape[2:])
        if height % CANVAS_MULTIPLE or width % CANVAS_MULTIPLE:
            raise UsageError(
                f"a detector cannot take a canvas of {width}x{height} pixels",
                f"pad both sides to multiples of {CANVAS_MULTIPLE} with zeros",
            )
        if self.training:
            if targets is None:
                raise UsageError("a detector cannot train without targets", "pass targets=")
            targets = [_without_crowds(target) for target in targets]
        lists = import_torchvision().models.detection.image_list
        canvas = lists.ImageList(images.new_empty((len(images), 0, height, width)), sizes)
        features = self.backbone(images)
        # In bfloat16 anchors and boxes would be off by pixels.
        with torch.autocast(images.device.type, enabled=False):
            features = {name: level.float() for name, level in features.items()}
            proposals, proposal_losses = self.rpn(canvas, features, targets)
            detections, losses = self.roi_heads(features, proposals, sizes, targets)
        return {**losses, **proposal_losses} if self.training else detections


def build_detector(
    model: str,
    *,
    input: str = "frequency",
    channels: int = 24,
    classes: int = 80,
    frozen_norm: bool = False,
    trained_stages: int = 4,
    regions: int = 512,
) -> Detector:
    """Build a detector with torchvision's names and random weights.

    Parameters
    ----------
    model : str
        ``fasterrcnn_resnet50_fpn`` or ``maskrcnn_resnet50_fpn``.
    input : str
        ``frequency``: normalised coefficients of the frame enlarged to twice its size, so that
        one position is 4 pixels of the frame and the stages' strides are 4 to 32, as in RGB;
        there is no stem. ``rgb``: the frame's normalised pixels; torchvision's own network.
    channels : int
        Number of input channels of the first stage; not used for ``rgb``.
    classes : int
        Number of classes without the background.
    frozen_norm : bool
        Whether the backbone's batch norms are frozen: small batches give poor statistics.
    trained_stages : int
        Number of stages, of layer4, layer3, layer2 and layer1, that train; with 4 the RGB stem
        trains as well. The pyramid and the heads always train.
    regions : int
        Number of sampled regions per image that the heads are trained on.

    Returns
    -------
    Detector
        In training mode, on the CPU; weights are drawn from torch's global generator. The state
        dict has torchvision's names.

    Raises
    ------
    UsageError
        An unknown name, or a number out of range.
    MissingPackageError
        torchvision is not installed.
    """
    check_name("model", model, DETECTORS)
    check_name("input", input, DETECTOR_INPUTS)
    check_numbers(classes, trained_stages, regions, channels)
    check_flags(frozen_norm=frozen_norm)
    torchvision = import_torchvision()
    norm = torchvision.ops.FrozenBatchNorm2d if frozen_norm else nn.BatchNorm2d
    network = torchvision.models.resnet50(weights=None, norm_layer=norm)
    if input == "frequency":
        open_resnet(network, nn.Identity(), channels)
    detection = torchvision.models.detection
    stages = {name: str(number) for number, name in enumerate(reversed(STAGES))}
    backbone = detection.backbone_utils.BackboneWithFPN(network, stages, _WIDTHS, 256)
    kind = detection.MaskRCNN if model in MASK_DETECTORS else detection.FasterRCNN
    parts = kind(backbone, classes + 1, box_batch_size_per_image=regions)
    _fix_scales(parts.roi_heads.box_roi_pool)
    if parts.roi_heads.has_mask():
        _fix_scales(parts.roi_heads.mask_roi_pool)
    return Detector(parts, FRAME_STRIDES[input], trained_stages)


def check_numbers(classes: int, trained_stages: int, regions: int, channels: int = 1) -> None:
    """Check numbers that `build_detector` takes.

    Raises
    ------
    UsageError
        A number is out of range.
    """
    check_positive(channels=channels, classes=classes, regions=regions)
    check_integer("trained_stages", trained_stages, 0, len(STAGES))


def _fix_scales(pool: Any) -> None:
    """Set the strides of the feature maps; torchvision would infer them from the first batch."""
    levels = range(2, 6)
    pool.scales = [2.0**-level for level in levels]
    pool.map_levels = import_torchvision().ops.poolers.LevelMapper(levels[0], levels[-1])


def _without_crowds(target: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Drop crowds from the targets: their boxes are around many objects."""
    single = ~target["iscrowd"]
    return {name: of_objects[single] for name, of_objects in target.items()}
