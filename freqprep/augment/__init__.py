"""Augmentation of coefficients: the same as on pixels, exactly, in batches, on any device."""

from freqprep.augment.augmenting import Augment, Preprocess
from freqprep.augment.inputs import Inputs, Policy
from freqprep.augment.mixing import cutmix, mix, mixup
from freqprep.augment.resample import Resampler

__all__ = ["Augment", "Inputs", "Policy", "Preprocess", "Resampler", "cutmix", "mix", "mixup"]
