"""Augmentation of coefficients: the same as on pixels, exactly, in batches, on any device."""

from freqprep.augment.augmenting import Augment, Preprocess
from freqprep.augment.classifier_input import Inputs, Policy
from freqprep.augment.detector_input import FramePolicy, Frames
from freqprep.augment.framing import FrameAugment, Framed, FramePreprocess
from freqprep.augment.mixing import cutmix, mix, mixup
from freqprep.augment.resample import Resampler

__all__ = [
    "Augment",
    "FrameAugment",
    "FramePolicy",
    "FramePreprocess",
    "Framed",
    "Frames",
    "Inputs",
    "Policy",
    "Preprocess",
    "Resampler",
    "cutmix",
    "mix",
    "mixup",
]
