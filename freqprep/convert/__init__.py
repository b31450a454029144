"""Conversion of images to a store: the request, its plan, the shards and the result."""

from freqprep.convert.request import Request
from freqprep.convert.run import convert

__all__ = ["Request", "convert"]
