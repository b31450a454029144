"""Augmentation of DCT coefficients: exactly as on pixels, in batches, on any device."""

from freqprep.augment.classifier_augment import Augment, Preprocess
from freqprep.augment.classifier_input import ClassifierInput, Policy
from freqprep.augment.detector_augment import DetectorAugment, DetectorPreprocess, PaddedBatch
from freqprep.augment.detector_input import DetectorInput, DetectorPolicy
from freqprep.augment.mixup_cutmix import cutmix, mix, mixup
from freqprep.augment.resample import Resampler

__all__ = [
    "Augment",
    "ClassifierInput",
    "DetectorAugment",
    "DetectorInput",
    "DetectorPolicy",
    "DetectorPreprocess",
    "PaddedBatch",
    "Policy",
    "Preprocess",
    "Resampler",
    "cutmix",
    "mix",
    "mixup",
]
