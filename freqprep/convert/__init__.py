"""Images to a store: the request, its plan, the work on each shard, and the result."""

from freqprep.convert.request import Request
from freqprep.convert.run import convert

__all__ = ["Request", "convert"]
