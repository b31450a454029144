"""Packing of a store: its codes at another level of compression, or some of its channels."""

from freqprep.pack.request import PackRequest
from freqprep.pack.run import pack

__all__ = ["PackRequest", "pack"]
