"""Augmentation of coefficients: the same as on pixels, exactly, in batches, on any device."""
