"""Frequency domain: DCT, channels, quantization. Pure numpy, no files, no state.

``color`` turns RGB into YCbCr and back, ``dct`` pixels into coefficients and back, ``channels``
names and orders the 192 frequency channels, ``quantization`` turns coefficients into stored
codes, and ``moments`` sums codes exactly.
"""

BLOCK = 8
"""Side of a DCT block in pixels."""

FREQUENCIES = BLOCK * BLOCK
"""Frequencies (channels) of one component."""

COMPONENTS = ("y", "cb", "cr")
"""Colour components in raster order."""
