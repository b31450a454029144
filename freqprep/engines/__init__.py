"""Engines that run work: local processes or a cluster, and settings shared by threads."""

from freqprep.engines.cluster import Places
from freqprep.engines.local import default_jobs
from freqprep.engines.running import run
from freqprep.engines.workers import ENGINES, Workers

__all__ = ["ENGINES", "Places", "Workers", "default_jobs", "run"]
